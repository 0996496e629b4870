"""Real Sudoku puzzles from files: lines of cells, or the CSV layout of Sudoku-Extreme."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from argmind.data.reasoning.boards import Board, Cells
from argmind.data.reasoning.digging import Puzzles
from argmind.data.reasoning.solver import cells_of, masks_of, search
from argmind.errors import UserError

#: Columns of a CSV file, in any order; further ones are not read.
QUESTION, ANSWER, RATING = "question", "answer", "rating"
#: Puzzles read and checked at a time: bounds memory, whatever the size of a file.
_CHUNK = 20_000


class _Row(NamedTuple):
    line: int
    question: str
    answer: str | None
    rating: str | None


def read_puzzles(path: Path, board: Board, limit: int | None = None) -> Puzzles:
    """The puzzles of a file, at most ``limit``; solved here where the file has no answers.

    A ``.csv`` file has the columns question, answer and rating (and source); any other file one
    puzzle a line, cells in reading order, 0 or a point for an unknown one. Empty lines and lines
    that begin with # are left out. ``difficulty`` is the rating where there is one.

    Raises:
        UserError: a file that cannot be read or is empty, a line of another length or with other
            characters, givens that contradict each other, none or several solutions, an answer
            that does not solve its question. Says which line.
    """
    rows, parts = _rows(path, limit), list[Puzzles]()
    while chunk := list(islice(rows, _CHUNK)):
        parts.append(_checked(path, board, chunk))
    if not parts:
        raise UserError(f"{path} holds no puzzle.")
    return Puzzles(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _checked(path: Path, board: Board, rows: list[_Row]) -> Puzzles:
    lines = [row.line for row in rows]
    given = _cells(path, board, lines, [row.question for row in rows], "puzzle")
    _require_consistent(path, board, lines, given)
    if rows[0].answer is None:
        return _solve(path, board, lines, given)
    answers = [row.answer or "" for row in rows]
    solution = _cells(path, board, lines, answers, ANSWER)
    _require_solved(path, board, lines, given, solution)
    return Puzzles(given, solution, _ratings(path, rows))


def _rows(path: Path, limit: int | None) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            found = _csv_rows(path, handle) if path.suffix.lower() == ".csv" else _lines(handle)
            for count, row in enumerate(found):
                if limit is not None and count >= limit:
                    return
                yield row
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a text file of puzzles ({error}).") from error


def _lines(handle: Iterator[str]) -> Iterator[_Row]:
    for number, line in enumerate(handle, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield _Row(number, text, None, None)


def _csv_rows(path: Path, handle: Iterator[str]) -> Iterator[_Row]:
    reader = csv.DictReader(handle)
    columns = reader.fieldnames or []
    if QUESTION not in columns:
        raise UserError(
            f"{path}: its first line must name the columns source, question, answer, rating; "
            f"there is no '{QUESTION}' among {', '.join(columns) or 'none'}."
        )
    for row in reader:
        yield _Row(reader.line_num, row[QUESTION] or "", row.get(ANSWER), row.get(RATING))


def _cells(path: Path, board: Board, lines: list[int], texts: list[str], what: str) -> Cells:
    """Texts as cells (n, cells), 0 for an unknown one."""
    for line, text in zip(lines, texts, strict=True):
        if len(text) != board.cells:
            raise UserError(
                f"{path}:{line}: the {what} has {len(text)} characters, a board of side "
                f"{board.side} has {board.cells} cells."
            )
    joined = "".join(texts).replace(".", "0")
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype="<u4").reshape(-1, board.cells)
    wrong = (codes < ord("0")) | (codes > ord("0") + board.side)
    if wrong.any():
        row, cell = np.argwhere(wrong)[0]
        raise UserError(
            f"{path}:{lines[row]}: {texts[row][cell]!r} at character {cell + 1}; cells are 1 to "
            f"{board.side}, and 0 or a point for an unknown one."
        )
    return (codes - ord("0")).astype(np.uint8)


def _require_consistent(path: Path, board: Board, lines: list[int], given: Cells) -> None:
    bits = np.where(given > 0, 1 << given.astype(np.int64), 0)[:, board.units]
    twice = bits.sum(axis=2) != np.bitwise_or.reduce(bits, axis=2)
    if twice.any():
        row, unit = np.argwhere(twice)[0]
        kind = ("row", "column", "box")[unit // board.side]
        raise UserError(
            f"{path}:{lines[row]}: impossible givens: a digit stands twice in {kind} "
            f"{unit % board.side + 1}."
        )


def _require_solved(
    path: Path, board: Board, lines: list[int], given: Cells, solution: Cells
) -> None:
    right = board.solved(solution) & ((given == 0) | (given == solution)).all(1)
    if not right.all():
        line = lines[int(np.flatnonzero(~right)[0])]
        raise UserError(f"{path}:{line}: the answer does not solve the question.")


def _solve(path: Path, board: Board, lines: list[int], given: Cells) -> Puzzles:
    found = search(board, masks_of(board, given), limit=2)
    wrong = np.flatnonzero(found.solutions != 1)
    if len(wrong):
        which = "no solution" if found.solutions[wrong[0]] == 0 else "more than one solution"
        raise UserError(f"{path}:{lines[int(wrong[0])]}: this puzzle has {which}.")
    return Puzzles(given, cells_of(board, found.first), found.rounds)


def _ratings(path: Path, rows: list[_Row]) -> NDArray[np.int64]:
    """Ratings as whole numbers; 0 where the file has none."""
    ratings = np.zeros(len(rows), dtype=np.int64)
    for index, row in enumerate(rows):
        text = row.rating or "0"
        if not text.strip().isdecimal():
            raise UserError(f"{path}:{row.line}: the rating {text!r} is not a whole number.")
        ratings[index] = int(text)
    return ratings
