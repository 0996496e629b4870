"""A trained step size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.schedules.base import Schedule, Sizes, require_positive

#: Source: Energy-Based Transformers, public code (the step size is clamped from below).
SMALLEST_SIZE = 1e-4


@register("schedule", "learned")
class Learned(Schedule):
    """A trained size, clamped to at least 1e-4, with its own learning-rate factor and no decay.

    ``count`` > 1: a size per step, the last of them repeated. Source: Energy-Based Transformers,
    System 1 recipe (one size starting at 500 with 1500 times the learning rate).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        size: float = 1.0
        lr_factor: float = 1.0
        count: int = 1

        def __post_init__(self) -> None:
            require_positive(size=self.size, lr_factor=self.lr_factor, count=self.count)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.lr_factor = config.lr_factor
        self.size = nn.Parameter(torch.full((config.count,), config.size))

    def sizes(
        self,
        predictions: torch.Size,  # noqa: ARG002
        like: Tensor,  # noqa: ARG002
        generator: Randomness,  # noqa: ARG002
        noisy: bool,  # noqa: ARG002
    ) -> Sizes:
        """``max(α_k, 1e-4)``."""
        clamped = self.size.clamp(min=SMALLEST_SIZE)
        return lambda step: clamped[min(step, len(clamped) - 1)]
