"""A Sudoku solver that works on thousands of boards at once.

A board is its candidates: bit v − 1 of a cell says that v is possible there. Arrays are
(cells, boards): the boards come last, so that every operation runs over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.reasoning.boards import Board, Cells

Masks = NDArray[Any]  # (cells, boards) uint16
#: Boards that are searched at a time, fewest and most: bounds memory, and makes wide searches go
#: deep first.
_CHUNK = (128, 8192)


def masks_of(board: Board, cells: Cells) -> Masks:
    """Candidates of boards (n, cells): all where a cell is unknown (0)."""
    full = (1 << board.side) - 1
    wide = cells.astype(np.uint16)
    mask = np.where(wide > 0, np.left_shift(1, np.maximum(wide, 1) - 1), full)
    return np.ascontiguousarray(mask.T, dtype=np.uint16)


def cells_of(board: Board, masks: Masks) -> Cells:
    """Boards (n, cells) of candidates; 0 where a cell has several."""
    values = np.zeros(1 << board.side, dtype=np.uint8)
    values[1 << np.arange(board.side)] = np.arange(board.side) + 1
    return np.ascontiguousarray(values[masks].T)


def propagate(board: Board, masks: Masks) -> Masks:
    """Candidates after all naked and hidden singles; zeros all over a board that has none left."""
    return settled(board, masks)[0]


def settled(board: Board, masks: Masks) -> tuple[Masks, NDArray[np.int64]]:
    """The same, and how many rounds it took each board: in one, all singles there are are taken."""
    masks = masks.copy()
    rounds = np.zeros(masks.shape[1], np.int64)
    active = np.arange(masks.shape[1])
    while len(active):
        before = masks[:, active]
        after = _singles(board, before)
        masks[:, active] = after
        active = active[(after != before).any(axis=0)]
        rounds[active] += 1
    return masks, rounds


def _singles(board: Board, m: Masks) -> Masks:
    """One round: a value that is placed leaves its units, one with a single place takes it."""
    single = (m & (m - 1)) == 0
    placed = np.where(single, m, np.uint16(0))[board.units]
    taken = np.bitwise_or.reduce(placed, axis=1)
    once, twice = np.zeros_like(taken), np.zeros_like(taken)
    for member in board.units.T:
        twice |= once & m[member]
        once |= m[member]
    left = np.where(single, m, m & ~_to_cells(board, taken))
    forced = left & _to_cells(board, once & ~twice)
    left = np.where(forced != 0, forced, left)
    # Placed values of a unit all differ exactly if adding their bits carries nowhere.
    alive = (placed.sum(axis=1, dtype=np.uint16) == taken).all(axis=0)
    alive &= (once == (1 << board.side) - 1).all(axis=0) & (left != 0).all(axis=0)
    return np.where(alive, left, np.uint16(0))


def _to_cells(board: Board, of_units: Masks) -> Masks:
    row, column, box = board.unit_of_cell.T
    return of_units[row] | of_units[column] | of_units[box]


@dataclass
class Search:
    """What a search found, per board."""

    solutions: NDArray[np.int64]  # how many, up to the limit
    first: Masks  # one of them
    rounds: NDArray[np.int64]  # of singles, in all branches


def search(board: Board, masks: Masks, limit: int) -> Search:
    """Depth-first search over all boards at once, each until ``limit`` solutions are found."""
    count = masks.shape[1]
    found = Search(np.zeros(count, np.int64), masks.copy(), np.zeros(count, np.int64))
    size = min(max(count, _CHUNK[0]), _CHUNK[1])
    stack = _chunks(masks, np.arange(count), size)
    while stack:
        m, owner = stack.pop()
        open_ = found.solutions[owner] < limit
        (m, rounds), owner = settled(board, m[:, open_]), owner[open_]
        np.add.at(found.rounds, owner, rounds)
        alive = m[0] != 0
        solved = alive & ((m & (m - 1)) == 0).all(axis=0)
        found.solutions += np.bincount(owner[solved], minlength=count)
        found.first[:, owner[solved]] = m[:, solved]
        going = alive & ~solved
        stack += _branches(board, m[:, going], owner[going], size)
    found.solutions = np.minimum(found.solutions, limit)
    return found


def _branches(
    board: Board, m: Masks, owner: NDArray[np.int64], size: int
) -> list[tuple[Masks, NDArray[np.int64]]]:
    """Both ways at a cell with the fewest candidates: its lowest one, or another."""
    cell, each = fewest(board, m), np.arange(len(owner))
    options = m[cell, each]
    lowest = options & (~options + np.uint16(1))
    one, other = m.copy(), m.copy()
    one[cell, each], other[cell, each] = lowest, options & ~lowest
    return _chunks(np.concatenate([other, one], axis=1), np.concatenate([owner, owner]), size)


def fewest(board: Board, m: Masks) -> NDArray[np.int64]:
    """Per board, the first of the open cells with the fewest candidates."""
    counts = np.array([i.bit_count() for i in range(1 << board.side)], dtype=np.uint8)
    counts[counts < 2] = 255
    return counts[m].argmin(axis=0)


def _chunks(m: Masks, owner: NDArray[np.int64], size: int) -> list[tuple[Masks, NDArray[np.int64]]]:
    return [(m[:, i : i + size], owner[i : i + size]) for i in range(0, len(owner), size)]
