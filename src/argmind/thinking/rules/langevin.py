"""Gradient descent with noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Step
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.spaces.base import Space
from argmind.thinking.rules.base import Rule


@register("rule", "langevin")
class Langevin(Rule):
    """``y ← y + σ ε`` before each step, then ``δ = α ∇E``: exploration while training.

    Inference is free of noise unless the budget asks for it. Source: Energy-Based Transformers,
    System 2 recipe (σ = 3 on text).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        noise_std: float = 3.0

        def __post_init__(self) -> None:
            if self.noise_std < 0:
                raise ValueError(f"noise_std may not be negative, got {self.noise_std}")

    def __init__(self, config: Config) -> None:
        self.noise_std = config.noise_std

    def before(
        self,
        space: Space,  # noqa: ARG002
        y: Tensor,
        memory: Tensor | None,  # noqa: ARG002
        step: Step,  # noqa: ARG002
        noisy: bool,
        generator: Randomness,
    ) -> Tensor:
        """The candidate with fresh noise."""
        if not noisy:
            return y
        return y + self.noise_std * normal(y.shape, y, generator)
