"""How the regression of next frames learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives._one_pass import OnePass
from argmind.predictors.frame_regression import FrameRegression
from argmind.registry import register


@register("objective", "next_frame")
class NextFrame(OnePass[FrameRegression]):
    """The pixels' loss of every change."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: FrameRegression) -> None:  # noqa: ARG002
        super().__init__(predictor)

    def answer(self, problem: dict[str, Tensor]) -> Tensor:
        """The change after every frame."""
        return self.predictor.answer(self.predictor.encode(problem))
