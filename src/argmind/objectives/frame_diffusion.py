"""How the diffusion head on a causal transformer learns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives.base import Loss, Objective
from argmind.predictors.frame_diffusion import FrameDiffusion
from argmind.randomness import Randomness, normal
from argmind.registry import register


@register("objective", "frame_diffusion")
class FrameDenoising(Objective[FrameDiffusion]):
    """``mean (told − asked)²`` of noised next frames, at a time drawn for each.

    Source: Ho et al. 2020 (equation 14); Li et al. 2024 (diffusion loss).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: FrameDiffusion) -> None:  # noqa: ARG002
        super().__init__()
        self.predictor = predictor
        self._error = self.stage(self._squared_error)

    @property
    def metric(self) -> str:
        """``epsilon_error`` or ``velocity_error``."""
        return f"{self.predictor.config.target}_error"

    @property
    def repeats(self) -> bool:
        """Every step is the same work."""
        return True

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Mean loss of one batch of clips."""
        value = self._error(batch, source=generator)
        count, length = self.predictor.extent(self.predictor.task(batch)[0])
        return Loss(value, {self.metric: value.detach()}, count * length)

    def _squared_error(self, batch: dict[str, Tensor], source: Randomness) -> Tensor:
        model = self.predictor
        problem, target = model.task(batch)
        hidden = model.hidden(model.encode(problem)).flatten(0, 1)
        frames = target.flatten(0, 1)
        time = model.process.draw(frames, source)
        noise = normal(frames.shape, frames, source)
        told = model.tell(model.process.noised(frames, noise, time), time, hidden)
        return (told - model.process.target(frames, noise, time)).square().mean()

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes of the stream, and of the head for every frame."""
        return self.predictor.training_flops(*self.predictor.extent(self.predictor.task(batch)[0]))
