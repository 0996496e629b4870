"""How the regression policy learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives._one_pass import OnePass
from argmind.predictors.policy_regression import PolicyRegression
from argmind.registry import register


@register("objective", "behaviour_cloning")
class BehaviourCloning(OnePass[PolicyRegression]):
    """Mean squared error of the chunk: the loss that an energy model has after thinking."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: PolicyRegression) -> None:  # noqa: ARG002
        super().__init__(predictor)

    def answer(self, problem: dict[str, Tensor]) -> Tensor:
        """The chunk."""
        return self.predictor.answer(self.predictor.encode(problem))
