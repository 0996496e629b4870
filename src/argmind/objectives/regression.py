"""How the one-pass rival for images learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives._one_pass import OnePass
from argmind.predictors.regression import Regression
from argmind.registry import register


@register("objective", "regression")
class RegressionObjective(OnePass[Regression]):
    """The pixels' loss of the answer: the loss that an energy model has after thinking."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: Regression) -> None:  # noqa: ARG002
        super().__init__(predictor)

    def answer(self, problem: dict[str, Tensor]) -> Tensor:
        """The given image plus the correction."""
        return self.predictor.answer(problem)
