"""Sudoku puzzles as a user writes them: one a line, cells in reading order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from argmind.data.reasoning.boards import BOXES, Board, Cells
from argmind.errors import UserError

#: What stands for an unknown cell.
UNKNOWN = "0."
_UNITS = ("row", "column", "box")


class Clash(NamedTuple):
    """Two cells (from 0) of one row, column or box that hold the same value."""

    value: int
    first: int
    second: int
    unit: str


def parse_puzzles(lines: Iterable[str], board: Board, name: str) -> Cells:
    """Lines as boards (n, cells), 0 for an unknown cell; empty lines and # lines are left out.

    Args:
        name: of where the lines come from, for messages.

    Raises:
        UserError: no puzzle, a line of another length or with other characters, givens that
            contradict each other; says which line and cell.
    """
    puzzles = [
        _parsed(line.strip(), board, f"{name}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if not puzzles:
        raise UserError(f"{name} holds no puzzle: write one a line, 0 or . for an unknown cell.")
    return np.stack(puzzles)


def _parsed(text: str, board: Board, where: str) -> Cells:
    if len(text) != board.cells:
        raise UserError(f"{where}: {_wrong_length(len(text), board)}")
    for place, symbol in enumerate(text):
        if symbol not in UNKNOWN and not (symbol.isascii() and symbol.isdigit()):
            raise UserError(f"{where}: {symbol!r} in {cell_name(place, board)} {_allowed(board)}")
        if symbol not in UNKNOWN and int(symbol) > board.side:
            raise UserError(f"{where}: {symbol} in {cell_name(place, board)} {_allowed(board)}")
    cells = np.array([0 if symbol in UNKNOWN else int(symbol) for symbol in text], np.uint8)
    clash = first_clash(cells, board)
    if clash is not None:
        raise UserError(
            f"{where}: contradictory givens: {clash.value} stands in "
            f"{cell_name(clash.first, board)} and in {cell_name(clash.second, board)}, "
            f"which are of one {clash.unit}."
        )
    return cells


def _wrong_length(length: int, board: Board) -> str:
    other = next((side for side in BOXES if side**2 == length), None)
    wanted = f"this run solves boards of side {board.side}, {board.cells} cells a line"
    if other is not None:
        return f"a puzzle of side {other}; {wanted}."
    return f"{length} characters; {wanted}."


def _allowed(board: Board) -> str:
    return f"is no cell: write 1 to {board.side}, and 0 or . for an unknown one."


def cell_name(place: int, board: Board) -> str:
    """``row 2 column 3``, counted from 1."""
    row, column = divmod(place, board.side)
    return f"row {row + 1} column {column + 1}"


def first_clash(cells: Cells, board: Board) -> Clash | None:
    """The first two cells that may not hold the same value and do; unknown ones never do."""
    for number, unit in enumerate(board.units):
        seen: dict[int, int] = {}
        for place in unit.tolist():
            value = int(cells[place])
            if value and value in seen:
                return Clash(value, seen[value], place, _UNITS[number // board.side])
            seen[value] = place
    return None


def as_line(cells: Cells) -> str:
    """A board as a line, a point for an unknown cell."""
    return "".join(str(value) if value else "." for value in cells.tolist())
