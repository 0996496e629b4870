"""Constant, learned, randomised and annealed step sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from argmind.config import PartConfig, part
from argmind.randomness import Randomness, uniform
from argmind.registry import register
from argmind.thinking.schedules.base import Schedule, Sizes

#: Source: Energy-Based Transformers, public code (the step size is clamped from below).
SMALLEST_SIZE = 1e-4


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


@register("schedule", "constant")
class Constant(Schedule):
    """The same size at every step."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        size: float = 1.0

        def __post_init__(self) -> None:
            _positive(size=self.size)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.size = config.size

    def sizes(
        self,
        predictions: torch.Size,  # noqa: ARG002
        like: Tensor,  # noqa: ARG002
        generator: Randomness,  # noqa: ARG002
        noisy: bool,  # noqa: ARG002
    ) -> Sizes:
        """``α``."""
        return lambda step: self.size  # noqa: ARG005


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
            _positive(size=self.size, lr_factor=self.lr_factor, count=self.count)

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
