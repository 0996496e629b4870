"""How the supervised classifier of images learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives._one_pass import OnePass
from argmind.predictors.classifier import Classifier
from argmind.registry import register


@register("objective", "classification")
class Classification(OnePass[Classifier]):
    """Cross-entropy in nats."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: Classifier) -> None:  # noqa: ARG002
        super().__init__(predictor)

    def answer(self, problem: dict[str, Tensor]) -> Tensor:
        """Class logits."""
        return self.predictor.answer(problem)
