"""Step sizes drawn per prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from argmind.config import PartConfig, part
from argmind.randomness import Randomness, uniform
from argmind.registry import register
from argmind.thinking.schedules.base import Schedule, Sizes


@register("schedule", "randomised")
class Randomised(Schedule):
    """Another schedule's size times a random factor per prediction, in training only.

    ``uniform``: factor in [1/scale, scale], uniform; ``log_uniform``: its logarithm uniform.
    Source: Energy-Based Transformers, System 2 recipe (uniform, scale 2).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        base: PartConfig = part("schedule", "constant")
        scale: float = 2.0
        distribution: Literal["uniform", "log_uniform"] = "uniform"

        def __post_init__(self) -> None:
            if self.scale < 1:
                raise ValueError(f"scale must be at least 1, got {self.scale}")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.base: Schedule = config.base.build()
        self.scale, self.distribution = config.scale, config.distribution

    def sizes(
        self, predictions: torch.Size, like: Tensor, generator: Randomness, noisy: bool
    ) -> Sizes:
        """``α_k · u``, u drawn once per prediction and thought."""
        base = self.base.sizes(predictions, like, generator, noisy)
        if not noisy or self.scale == 1:
            return base
        draw = uniform(predictions, like, generator)
        if self.distribution == "uniform":
            factor = 1 / self.scale + (self.scale - 1 / self.scale) * draw
        else:
            factor = ((2 * draw - 1) * math.log(self.scale)).exp()
        return lambda step: factor * base(step)
