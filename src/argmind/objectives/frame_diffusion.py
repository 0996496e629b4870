"""How the diffusion head on a causal transformer learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives._denoising import Denoising
from argmind.predictors.frame_diffusion import FrameDiffusion
from argmind.randomness import Randomness
from argmind.registry import register


@register("objective", "frame_diffusion")
class FrameDenoising(Denoising[FrameDiffusion]):
    """``mean (told − asked)²`` of noised next frames, at a time drawn for each.

    Source: Ho et al. 2020 (equation 14); Li et al. 2024 (diffusion loss).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: FrameDiffusion) -> None:  # noqa: ARG002
        super().__init__(predictor)

    def asked(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the stream says after every frame, and the change that follows it."""
        problem, target = self.predictor.task(batch)
        hidden = self.predictor.hidden(self.predictor.encode(problem))
        return hidden.flatten(0, 1), target.flatten(0, 1)

    def told(self, x: Tensor, time: Tensor, given: Tensor, source: Randomness) -> Tensor:  # noqa: ARG002
        """By the head."""
        return self.predictor.tell(x, time, given)

    def predictions(self, batch: dict[str, Tensor]) -> int:
        """Every frame but the first."""
        count, length = self.predictor.extent(self.predictor.task(batch)[0])
        return count * length

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes of the stream, and of the head for every frame."""
        return self.predictor.training_flops(*self.predictor.extent(self.predictor.task(batch)[0]))
