"""Equilibrium matching: one slope from noise to data, level where the data are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.objectives._field import FieldObjective, Lesson, spread
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness, normal, uniform
from argmind.registry import register


@register("objective", "equilibrium")
class EquilibriumMatching(FieldObjective):
    """``∇E(γ x + (1 − γ) ε) ≈ (ε − x) c(γ)``, ``c(γ) = λ min(1, (1 − γ) / (1 − a))``, γ uniform.

    Sampled by descent, plain or with momentum, from N(0, 1); there is no time to be told.
    Source: Wang & Du 2025 (arXiv 2510.02300), the energy form (EqM-E), a = 0.8, λ = 4.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(FieldObjective.Config):
        #: Where the slope begins to level off, as a share of the way to the data (a).
        level_from: float = 0.8
        #: Steepness before that (λ).
        steepness: float = 4.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 0 <= self.level_from < 1:
                raise ValueError(f"level_from must lie in [0, 1), got {self.level_from}")
            if not self.steepness > 0:
                raise ValueError(f"steepness must be positive, got {self.steepness}")

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__(config, predictor)
        self.level_from, self.steepness = config.level_from, config.steepness

    def lesson(self, clean: Tensor, predictions: torch.Size, source: Randomness) -> Lesson:
        """Somewhere between noise and data."""
        share = spread(uniform(predictions, clean, source), clean)
        noise = normal(clean.shape, clean, source)
        slope = self.steepness * ((1 - share) / (1 - self.level_from)).clamp(max=1)
        place = share * clean + (1 - share) * noise
        return Lesson(place, slope * (noise - clean), torch.ones_like(share))
