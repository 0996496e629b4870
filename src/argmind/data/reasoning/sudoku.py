"""Sudoku with 4, 6 or 9 rows, by its own generator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.base import digest_of
from argmind.data.reasoning.base import Array, Problems, Samples, everywhere
from argmind.data.reasoning.boards import Board
from argmind.data.reasoning.digging import Puzzles, make_puzzles
from argmind.data.reasoning.draws import Draws
from argmind.data.sealed import Write, sealed
from argmind.data.storage import cache_folder
from argmind.registry import register

#: Givens of easy (and training) and of hard puzzles, by side.
GIVENS = {4: ((6, 8), (4, 5)), 6: ((11, 14), (8, 9)), 9: ((35, 42), (17, 34))}


class SudokuProblems(Problems):
    """Cells are tokens; symbols 0 … side − 1 stand for 1 … side, ``side`` for an unknown cell.

    Training puzzles get a new symmetry (rows, columns, turn, digits) whenever they are drawn.
    ``difficulty``: rounds of a solver that proves the solution unique. In each it fills in all
    cells that only one value fits, or that are a value's only place; it guesses where none is.
    """

    #: Splits whose puzzles are not turned by a symmetry.
    as_stored: tuple[str, ...] = ()

    def __init__(self, config: PartConfig, side: int, pools: dict[str, Puzzles]) -> None:
        super().__init__(config)
        self.board, self.pools = Board(side), pools
        self.epoch_samples = len(pools["train"].given)

    def available(self, split: str) -> int | None:
        """Puzzles stored."""
        return len(self.pools[split].given)

    @property
    def inputs(self) -> dict[str, Any]:
        """Answers and givens by symbols; row, column and box."""
        side = self.board.side
        cells = self.board.cells
        return {
            "tokens": cells,
            "places": (side, side, side),
            "symbols": side,
            "given_symbols": side + 1,
        }

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:
        """Stored puzzles, each turned by a random symmetry."""
        pool = self.pools[split]
        row = index % len(pool.given)
        given, solution = (x[row].astype(np.int64) for x in (pool.given, pool.solution))
        if split not in self.as_stored:
            given, solution = self.board.shuffled(draws, given, solution)
        return {
            "given": as_symbols(given, self.board),
            "target": solution - 1,
            "known": given > 0,
            "places": everywhere(self.board.places, len(index)),
            "difficulty": pool.difficulty[row].astype(np.float32),
        }

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """Every rule holds, and every given stands."""
        return self.board.solved(np.where(given < self.board.side, given, answer) + 1)


def as_symbols(cells: Array, board: Board) -> Array:
    """Cells 0 (unknown), 1 … side as the symbols that models see."""
    return np.where(cells > 0, cells.astype(np.int64) - 1, board.side)


@register("problem", "sudoku")
class Sudoku(SudokuProblems):
    """Generated Sudoku: unique solutions, trained on many givens, tested on few.

    Puzzles are made once and kept in the cache folder.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        side: Literal[4, 6, 9] = 6
        #: Training puzzles made, before symmetries; and of each split.
        train_puzzles: int = 20_000
        eval_puzzles: int = 2_000
        #: Givens, fewest and most; None: as suits the side.
        train_givens: tuple[int, int] | None = None
        hard_givens: tuple[int, int] | None = None

        def __post_init__(self) -> None:
            for name in ("train_puzzles", "eval_puzzles"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
            (low, high), hard = self.givens("train"), self.givens("hard")
            if not low <= high <= self.side**2:
                raise ValueError(f"train_givens must be fewest and most, got {[low, high]}")
            if not hard[0] <= hard[1] < low:
                raise ValueError(
                    f"hard_givens must be fewest and most, and fewer than train_givens "
                    f"{[low, high]}, got {list(hard)}"
                )
            if hard[1] < _REACHABLE[self.side]:
                raise ValueError(
                    f"hard_givens must reach up to {_REACHABLE[self.side]} at side {self.side}: "
                    f"random puzzles with fewer givens have several solutions, got {list(hard)}"
                )

        def givens(self, split: str) -> tuple[int, int]:
            """Fewest and most givens of a split's puzzles."""
            easy, hard = GIVENS[self.side]
            if split == "hard":
                return self.hard_givens or hard
            return self.train_givens or easy

    def __init__(self, config: Config, cache_dir: Path | None = None) -> None:
        pools = {split: _stored(config, split, cache_dir) for split in ("train", *Problems.splits)}
        super().__init__(config, config.side, pools)


#: Digging down to so many givens succeeds often enough.
_REACHABLE = {4: 5, 6: 9, 9: 26}


def _stored(config: Sudoku.Config, split: str, cache_dir: Path | None) -> Puzzles:
    count = config.train_puzzles if split == "train" else config.eval_puzzles
    givens, board = config.givens(split), Board(config.side)
    key = digest_of("sudoku 2", config.side, split, count, givens)
    path = cache_folder(cache_dir) / f"sudoku-{key}.bin"

    def make(write: Write) -> dict[str, Any]:
        puzzles = make_puzzles(board, 0, split, np.arange(count), givens)
        write(packed(puzzles).tobytes())
        return {"side": config.side, "split": split, "puzzles": count, "givens": list(givens)}

    sealed(path, make, what="Sudoku cache")
    return unpacked(np.memmap(path, dtype=row_type(board), mode="r"))


def row_type(board: Board) -> np.dtype[Any]:
    """One puzzle in a file."""
    cells = (np.uint8, (board.cells,))
    return np.dtype([("given", *cells), ("solution", *cells), ("difficulty", "<u4")])


def packed(puzzles: Puzzles) -> Array:
    """Puzzles as rows of :func:`row_type`."""
    rows = np.empty(len(puzzles.given), row_type(Board(int(puzzles.given.shape[1] ** 0.5))))
    for name, column in puzzles._asdict().items():
        rows[name] = column
    return rows


def unpacked(rows: Array) -> Puzzles:
    """Puzzles of rows of :func:`row_type`."""
    return Puzzles(*(cast(Any, rows[name]) for name in Puzzles._fields))
