"""Sudoku from files of puzzles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from argmind.config import PartConfig
from argmind.data.base import digest_of
from argmind.data.reasoning.base import held_out
from argmind.data.reasoning.boards import Board
from argmind.data.reasoning.digging import Puzzles
from argmind.data.reasoning.files import read_puzzles
from argmind.data.reasoning.sudoku import (
    SudokuProblems,
    as_symbols,
    packed,
    row_type,
    unpacked,
)
from argmind.data.sealed import Write, sealed
from argmind.data.sources._readers import content_digest
from argmind.data.storage import cache_folder
from argmind.errors import UserError
from argmind.registry import register


@register("problem", "sudoku_file")
class SudokuFile(SudokuProblems):
    """Real puzzles: lines of 81 characters, or CSV with question, answer and rating.

    An eighth of ``source`` is held out as the easy split; ``hard_source`` is the hard one. Held-out
    puzzles are judged as they stand. ``difficulty``: the file's rating, or rounds of a solver.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        source: str = ""
        hard_source: str | None = None
        side: Literal[4, 6, 9] = 9
        #: Read no more puzzles than this of each file.
        limit_puzzles: int | None = None

        def __post_init__(self) -> None:
            if self.limit_puzzles is not None and self.limit_puzzles < 2:
                raise ValueError(f"limit_puzzles must be at least 2, got {self.limit_puzzles}")

    def __init__(self, config: Config, cache_dir: Path | None = None) -> None:
        if not config.source:
            raise UserError("no puzzles given: name a file with data.problem.source=PATH.")
        whole, key = _stored(config, config.source, cache_dir)
        keys, apart = [key], held_out(as_symbols(whole.given, Board(config.side)))
        if apart.all() or not apart.any():
            raise UserError(
                f"{config.source} has too few puzzles to train on some and hold out others: of its "
                f"{len(apart)}, {apart.sum()} fall into the eighth that is held out, by what they "
                "give. Add more of them, and others than argmind's own training puzzles."
            )
        pools = {"train": _rows(whole, ~apart), "easy": _rows(whole, apart)}
        if config.hard_source is not None:
            pools["hard"], key = _stored(config, config.hard_source, cache_dir)
            keys.append(key)
        super().__init__(config, config.side, pools)
        self.splits = tuple(split for split in pools if split != "train")
        self.as_stored = self.splits
        self._content = digest_of("sudoku file 2", *keys)

    @property
    def fingerprint(self) -> str:
        """Of the puzzles themselves: equal for copies of the files in another place."""
        return self._content


def _stored(config: SudokuFile.Config, source: str, cache_dir: Path | None) -> tuple[Puzzles, str]:
    """A file's puzzles, checked once and kept in the cache folder; and the key they have there."""
    path, board = Path(source).expanduser(), Board(config.side)
    try:
        content = content_digest(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    key = digest_of("sudoku file 2", content, path.suffix, config.side, config.limit_puzzles)

    def make(write: Write) -> dict[str, Any]:
        puzzles = read_puzzles(path, board, config.limit_puzzles)
        write(packed(puzzles).tobytes())
        return {"file": path.name, "puzzles": len(puzzles.given)}

    place = cache_folder(cache_dir) / f"sudoku-{key}.bin"
    sealed(place, make, what="Sudoku cache")
    return unpacked(np.memmap(place, dtype=row_type(board), mode="r")), key


def _rows(puzzles: Puzzles, chosen: np.ndarray[Any, Any]) -> Puzzles:
    return Puzzles(*(column[chosen] for column in puzzles))
