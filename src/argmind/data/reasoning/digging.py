"""Sudoku puzzles with exactly one solution: random full boards, then one given less at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from argmind.data.reasoning.boards import Board, Cells
from argmind.data.reasoning.draws import Draws
from argmind.data.reasoning.solver import cells_of, fewest, masks_of, propagate, search

#: Boards made at a time.
_CHUNK = 4096


class Puzzles(NamedTuple):
    """Puzzles with their only solutions, (n, cells) uint8."""

    given: Cells
    solution: Cells
    #: Rounds of singles, guess by guess, of a solver that proves the solution to be the only one;
    #: or a file's own rating.
    difficulty: NDArray[np.int64]


def make_puzzles(
    board: Board, seed: int, stream: str, index: NDArray[np.int64], givens: tuple[int, int]
) -> Puzzles:
    """The puzzles of these numbers, with between ``givens[0]`` and ``givens[1]`` givens.

    Digging to few givens may end early, at a puzzle that can lose none of them; it then starts
    over from another board.
    """
    parts = [
        _make(board, seed, stream, index[first : first + _CHUNK], givens)
        for first in range(0, len(index), _CHUNK)
    ]
    return Puzzles(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _make(
    board: Board, seed: int, stream: str, index: NDArray[np.int64], givens: tuple[int, int]
) -> Puzzles:
    given = np.zeros((len(index), board.cells), dtype=np.uint8)
    solution = np.zeros_like(given)
    missing, attempt = np.arange(len(index)), 0
    while len(missing):
        draws = Draws(seed, f"{stream}/{attempt}", index[missing])
        wanted = givens[0] + draws.below(givens[1] - givens[0] + 1, 1)[:, 0]
        order = draws.permutation(board.cells)
        full = full_boards(board, draws)  # last, as it draws until the slowest board is full
        dug = dig(board, full, order, wanted)
        good = (dug > 0).sum(1) <= givens[1]
        given[missing[good]], solution[missing[good]] = dug[good], full[good]
        missing, attempt = missing[~good], attempt + 1
    return Puzzles(given, solution, search(board, masks_of(board, given), limit=2).rounds)


def full_boards(board: Board, draws: Draws) -> Cells:
    """Random solved boards (n, cells): random values by and by, from the start where stuck."""
    count = len(draws)
    masks = masks_of(board, np.zeros((count, board.cells), dtype=np.uint8))
    empty = masks[:, 0].copy()
    open_ = np.arange(count)
    while len(open_):
        now = masks[:, open_]
        # Every board draws in every round, so that none depends on when others are done.
        dice = draws.uniform(2)[open_]
        cell, each = _random_open_cell(board, now, dice[:, 0]), np.arange(len(open_))
        now[cell, each] = _random_bit(now[cell, each], dice[:, 1])
        now = propagate(board, now)
        now[:, now[0] == 0] = empty[:, None]
        masks[:, open_] = now
        open_ = open_[((now & (now - 1)) != 0).any(axis=0)]
    return cells_of(board, masks)


def _random_open_cell(
    board: Board, m: NDArray[np.uint16], dice: NDArray[np.float64]
) -> NDArray[np.int64]:
    """One of the open cells with the fewest candidates, evenly."""
    counts = np.array([i.bit_count() for i in range(1 << board.side)], dtype=np.uint8)[m]
    least = counts[fewest(board, m), np.arange(m.shape[1])]
    return _nth((counts == least).T, dice)


def _random_bit(options: NDArray[np.uint16], dice: NDArray[np.float64]) -> NDArray[np.uint16]:
    bits = np.arange(16, dtype=np.uint16)
    chosen = _nth((options[:, None] >> bits & 1).astype(bool), dice)
    return np.left_shift(np.uint16(1), chosen.astype(np.uint16))


def _nth(among: NDArray[np.bool_], dice: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of a random true element of each row."""
    rank = (dice * among.sum(1)).astype(np.int64)
    return (among.cumsum(1) == rank[:, None] + 1).argmax(1)


def dig(board: Board, full: Cells, order: NDArray[np.int64], wanted: NDArray[np.int64]) -> Cells:
    """Take givens away in this order, each only if one solution remains, down to ``wanted``.

    A given may go if no other value in its cell leads to a solution.
    """
    given = full.copy()
    for turn in range(board.cells):
        open_ = np.flatnonzero((given > 0).sum(1) > wanted)
        if not len(open_):
            break
        cell, each = order[open_, turn], np.arange(len(open_))
        trial = given[open_]
        trial[each, cell] = 0
        masks = masks_of(board, trial)
        bit = np.left_shift(1, full[open_, cell].astype(np.uint16) - 1).astype(np.uint16)
        masks[cell, each] &= ~bit
        unique = search(board, masks, limit=1).solutions == 0
        given[open_[unique], cell[unique]] = 0
    return given
