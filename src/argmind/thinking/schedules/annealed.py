"""Step sizes that shrink."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig, part
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.schedules.base import Schedule, Sizes


@register("schedule", "annealed")
class Annealed(Schedule):
    """Another schedule's size, shrinking from step ``hold`` on.

    ``α_k · decay^max(0, k − hold + 1)``.

    Holding for as many steps as were trained leaves training untouched and makes longer thinking
    settle: the total distance left is bounded by ``decay / (1 − decay)`` steps.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        base: PartConfig = part("schedule", "constant")
        decay: float = 0.5
        hold: int = 1

        def __post_init__(self) -> None:
            if not 0 < self.decay <= 1:
                raise ValueError(f"decay must lie in (0, 1], got {self.decay}")
            if self.hold < 0:
                raise ValueError(f"hold may not be negative, got {self.hold}")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.base: Schedule = config.base.build()
        self.decay, self.hold = config.decay, config.hold

    def sizes(
        self, predictions: torch.Size, like: Tensor, generator: Randomness, noisy: bool
    ) -> Sizes:
        """See the class."""
        base = self.base.sizes(predictions, like, generator, noisy)
        return lambda step: base(step) * self.decay ** max(0, step - self.hold + 1)
