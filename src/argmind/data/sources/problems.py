"""Reasoning problems as text, a line each: arithmetic, Dyck words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from argmind import registry
from argmind.config import part_config
from argmind.data.base import digest_of
from argmind.data.reasoning.base import Problems
from argmind.data.sources.base import Piece, Source, cut_documents
from argmind.errors import UserError, unknown
from argmind.registry import register

#: Lines made at a time, each time a document.
_LINES = 1_000
LINES = 100_000


@register("source", "problems")
class ProblemSource(Source):
    """``problems:NAME[/SPLIT[/LINES]]``: generated problems with their answers, 100,000 lines.

    The split is ``train`` unless another is named (``problems:addition/hard/2000``); no line of the
    train split is in the others.
    """

    def __init__(self, problem: str, split: str = "train", lines: int = LINES) -> None:
        if problem not in registry.names("problem"):
            raise unknown("problem", problem, registry.names("problem"))
        if problem.startswith("sudoku"):
            raise _unwritten(problem)
        self.problems: Problems = part_config("problem", problem).build()
        if split not in ("train", *self.problems.splits):
            raise unknown(f"split of {problem}", split, ("train", *self.problems.splits))
        if self.problems.lines(self.problems.sample(split, np.arange(1), 0)) is None:
            raise _unwritten(problem)
        self.split, self.lines = split, lines
        self.name = f"problems:{problem}/{split}/{lines}"

    @classmethod
    def from_spec(cls, argument: str, field: str) -> Source:  # noqa: ARG003
        """Open ``problems:NAME[/SPLIT[/LINES]]``."""
        name, _, rest = argument.partition("/")
        split, _, lines = rest.partition("/")
        if lines and not (lines.isdecimal() and int(lines)):
            raise UserError(f"problems:{argument}: '{lines}' is not a number of lines.")
        return cls(name, split or "train", int(lines) if lines else LINES)

    @cached_property
    def fingerprint(self) -> str:
        return digest_of("problems", self.problems.fingerprint, self.split, self.lines)

    def pieces(self) -> Iterator[Piece]:
        return cut_documents(self._documents())

    def _documents(self) -> Iterator[str]:
        for first in range(0, self.lines, _LINES):
            number = np.arange(first, min(first + _LINES, self.lines))
            lines = self.problems.lines(self.problems.sample(self.split, number, 0)) or []
            yield "".join(f"{line}\n" for line in lines)


def _unwritten(problem: str) -> UserError:
    return UserError(
        f"problems:{problem}: these are not written as text; addition, multiplication and dyck are."
    )
