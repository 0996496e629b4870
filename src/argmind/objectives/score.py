"""Denoising score matching: the slope of the energy is the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.objectives._field import FieldObjective, Lesson, spread
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness, normal, uniform
from argmind.registry import register


@register("objective", "score")
class DenoisingScore(FieldObjective):
    """``∇E(x + σ ε) ≈ σ ε`` at σ drawn log-uniformly per answer, the error counted in units of σ.

    The model is not told σ: a step of size 1 goes to the denoised answer, smaller ones anneal from
    noise to data, with the rule ``langevin`` drawing samples.
    Source: Vincent 2011; Kadkhodaie & Simoncelli 2021 (descending a blind denoiser's residual).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(FieldObjective.Config):
        lowest_std: float = 0.01
        highest_std: float = 2.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 0 < self.lowest_std <= self.highest_std:
                raise ValueError(
                    f"noise needs 0 < lowest_std <= highest_std, got {self.lowest_std} and "
                    f"{self.highest_std}"
                )

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__(config, predictor)
        self.log_lowest = math.log(config.lowest_std)
        self.log_span = math.log(config.highest_std / config.lowest_std)

    def lesson(self, clean: Tensor, predictions: torch.Size, source: Randomness) -> Lesson:
        """``x + σ ε`` should move by ``σ ε``."""
        share = uniform(predictions, clean, source)
        std = spread((self.log_lowest + self.log_span * share).exp(), clean)
        noise = std * normal(clean.shape, clean, source)
        return Lesson(clean + noise, noise, std)
