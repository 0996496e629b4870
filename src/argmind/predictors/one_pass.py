"""The plain rival for reasoning: one pass from what is given to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from argmind.config import PartConfig
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.predictors._answers import Asked, Turn, TurnPredictor
from argmind.registry import register


@register("predictor", "one_pass")
class OnePass(TurnPredictor):
    """A transformer over the tokens of a problem; the same answer whatever the budget."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: BidirectionalConfig = field(default_factory=BidirectionalConfig)

    def __init__(self, config: Config, thinking: object, **inputs: Any) -> None:  # noqa: ARG002
        super().__init__(config.transformer, inputs)

    def turns(self, problem: Asked, count: int) -> Iterator[Turn]:  # noqa: ARG002
        """The one answer."""
        rows = self.problem(problem)
        output = self.readout(self.trunk.under(rows, self.told(rows)))
        yield Turn(output, self.answers.unsure(output.detach()), 1)

    def turns_flops(self, length: int, count: float) -> float:  # noqa: ARG002
        """One pass."""
        return self.read_flops(length) + self.pass_flops(length)
