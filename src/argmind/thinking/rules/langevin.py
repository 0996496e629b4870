"""Descent with noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig, part
from argmind.nn.conditioning.base import Step
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.spaces.base import Space
from argmind.thinking.rules.base import Over


@register("rule", "langevin")
class Langevin(Over):
    """``y ← y + σ ε`` before each step of another rule: exploration while training.

    Inference is free of noise unless the budget asks for it. With ``anneal_steps = K`` noise falls
    along half a cosine, ``σ_k = σ_min + ½ (σ − σ_min) (1 + cos(π k / K))``, and stays at
    ``σ_min = last_noise_std`` from step K on. Source: Energy-Based Transformers, System 2 recipe
    (σ = 3 on text); EBT-Policy anneals from 0.2 to 0.002, over the number of steps that it draws.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        noise_std: float = 3.0
        #: Steps after which the noise has fallen to ``last_noise_std``; None: it never falls.
        anneal_steps: int | None = None
        last_noise_std: float = 0.0
        base: PartConfig = part("rule", "gradient")

        def __post_init__(self) -> None:
            for name in ("noise_std", "last_noise_std"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name} may not be negative, got {getattr(self, name)}")
            if self.anneal_steps is not None and self.anneal_steps < 1:
                raise ValueError(f"anneal_steps must be at least 1, got {self.anneal_steps}")

    def __init__(self, config: Config) -> None:
        super().__init__(config.base.build())
        self.config = config

    def noise_std(self, step: Step) -> Tensor | float:
        """σ of this step."""
        first, last = self.config.noise_std, self.config.last_noise_std
        over = self.config.anneal_steps
        if over is None:
            return first
        if isinstance(step, Tensor):
            height = 1 + torch.cos(math.pi * (step / over).clamp(max=1))
        else:
            height = 1 + math.cos(math.pi * min(step / over, 1))
        return last + 0.5 * (first - last) * height

    def before(
        self,
        space: Space,
        y: Tensor,
        memory: Tensor | None,
        step: Step,
        noisy: bool,
        generator: Randomness,
    ) -> Tensor:
        """The candidate with fresh noise, where the other rule then looks."""
        if noisy:
            y = y + self.noise_std(step) * normal(y.shape, y, generator)
        return super().before(space, y, memory, step, noisy, generator)
