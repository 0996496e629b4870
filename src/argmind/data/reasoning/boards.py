"""The geometry of a Sudoku board, and the moves that turn one puzzle into another as hard.

Boards are arrays of cells in reading order; a value is 1 … side, 0 an unknown cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.reasoning.draws import Draws

Cells = NDArray[Any]

#: Height and width of the boxes for each side.
BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}


@dataclass(frozen=True)
class Board:
    """A board of ``side`` rows, columns, boxes and values."""

    side: int

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.side**2

    @property
    def box(self) -> tuple[int, int]:
        """Height and width of a box."""
        return BOXES[self.side]

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Row, column and box of every cell, (cells, 3)."""
        row, column = np.divmod(np.arange(self.cells), self.side)
        height, width = self.box
        box = (row // height) * (self.side // width) + column // width
        return np.stack([row, column, box], axis=1)

    @cached_property
    def unit_of_cell(self) -> NDArray[np.int64]:
        """The row, column and box of every cell among all ``units``, (cells, 3)."""
        return self.places + self.side * np.arange(3)

    @cached_property
    def units(self) -> NDArray[np.int64]:
        """The cells of every row, column and box, (3 side, side)."""
        order = np.argsort(self.places, axis=0, kind="stable")
        return order.T.reshape(-1, self.side)

    def solved(self, boards: Cells) -> NDArray[np.bool_]:
        """Which boards (n, cells) have every value once in each row, column and box."""
        legal = np.all((boards >= 1) & (boards <= self.side), axis=1)
        value = 1 << np.where(legal[:, None], boards, 1).astype(np.int64)
        seen = np.bitwise_or.reduce(value[:, self.units], axis=2)
        return legal & (seen == (1 << (self.side + 1)) - 2).all(1)

    def shuffled(self, draws: Draws, *boards: Cells) -> list[Cells]:
        """Boards (n, cells) after one random symmetry each: rows, columns, turn, new digits."""
        side = self.side
        height, width = self.box
        rows, columns = self._lines(draws, height), self._lines(draws, width)
        turned = draws.below(2, 1)[:, 0].astype(bool) & (height == width)
        digits = np.pad(draws.permutation(side) + 1, ((0, 0), (1, 0)))
        each = np.arange(len(draws))[:, None, None]
        result = []
        for board in boards:
            grid = board.reshape(-1, side, side)[each, rows[:, :, None], columns[:, None, :]]
            grid = np.where(turned[:, None, None], grid.transpose(0, 2, 1), grid)
            result.append(digits[each[..., 0], grid.reshape(-1, self.cells)])
        return result

    def _lines(self, draws: Draws, size: int) -> NDArray[np.int64]:
        """A new order of the lines (n, side): groups of ``size`` move, and lines within each."""
        groups = self.side // size
        outer = draws.permutation(groups)
        inner = np.stack([draws.permutation(size) for _ in range(groups)], axis=1)
        return (outer[:, :, None] * size + inner).reshape(len(draws), self.side)
