"""How diffusion transformers learn: telling noise, or velocities, at drawn times."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives.base import Loss, Objective
from argmind.predictors.dit import DiT
from argmind.randomness import Randomness, normal, uniform
from argmind.registry import register


@register("objective", "diffusion")
class Diffusion(Objective[DiT]):
    """``mean (told − asked)²``, asked being ε or the velocity, at times drawn per image.

    It learns from clean images, whatever is given of them. Some labels are withheld, so that the
    network knows what to say without one (guidance). Source: Ho et al. 2020 (equation 14); Lipman
    et al. 2023; Ho & Salimans 2022.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        withheld_labels: float = 0.1

        def __post_init__(self) -> None:
            if not 0 <= self.withheld_labels < 1:
                raise ValueError(f"withheld_labels must lie in [0, 1), got {self.withheld_labels}")

    def __init__(self, config: Config, predictor: DiT) -> None:
        super().__init__()
        self.config, self.predictor = config, predictor
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
        """Mean loss of one batch of images."""
        value = self._error(batch, source=generator)
        return Loss(value, {self.metric: value.detach()}, len(batch["clean"]))

    def _squared_error(self, batch: dict[str, Tensor], source: Randomness) -> Tensor:
        model = self.predictor
        problem, clean = model.task(batch)
        time = model.process.draw(clean, source)
        noise = normal(clean.shape, clean, source)
        if "label" in problem and self.config.withheld_labels:
            withheld = uniform((len(clean),), clean, source) < self.config.withheld_labels
            problem["label"] = problem["label"].masked_fill(withheld, -1)
        told = model.tell(model.process.noised(clean, noise, time), time, problem)
        return (told - model.process.target(clean, noise, time)).square().mean()

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes an image."""
        return self.predictor.training_flops(len(batch["clean"]), 0)
