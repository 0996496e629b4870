"""Real numbers for every token: rows or elements of a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from argmind.config import PartConfig
from argmind.registry import register
from argmind.spaces.base import Given
from argmind.spaces.reasoning import ReasoningSpace


@register("space", "numbers")
class NumberSpace(ReasoningSpace):
    """Gradient descent on W numbers a token; mean squared error."""

    answers_with = "numbers"
    continuous = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: Can thinking start from a first guess of its own (``thinking.start=amortised``)?
        guesses: bool = False

    def __init__(self, config: Config, dim: int, **inputs: Any) -> None:
        super().__init__(dim, config.guesses, inputs)

    def known_candidate(self, problem: dict[str, Tensor]) -> Given:
        """Zeros; nothing is held."""
        weight = self.candidate.weight
        return Given(weight.new_zeros(*problem["known"].shape, self.layout.width))
