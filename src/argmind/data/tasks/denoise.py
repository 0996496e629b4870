"""Images with noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.data.base import Batch
from argmind.data.draws import RowDraws
from argmind.data.tasks.base import Task
from argmind.registry import register

#: The published linear schedule (Ho et al. 2020): steps, and the first and last of their variances.
_STEPS, _FIRST, _LAST = 1000, 1e-4, 0.02


@register("task", "denoise")
class Denoise(Task):
    """Gaussian noise of a fixed level, or of one drawn for every image.

    ``added``: ``given = clean + σ ε`` with ``σ = level``. ``ddpm``: ``given = √ᾱ clean + √(1-ᾱ) ε``
    at the share ``level`` of the published 1,000-step diffusion, as the image models of
    arXiv 2507.02092 are trained; ``σ = √(1-ᾱ)``.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        level: float = 0.5  # noise std where pixels span [-1, 1]; for ddpm a share of the schedule
        lowest: float | None = None  # draw each image's level uniformly between this and level
        noise: Literal["added", "ddpm"] = "added"

        def __post_init__(self) -> None:
            most = 1.0 if self.noise == "ddpm" else math.inf
            if not 0 < self.level <= most or self.level == math.inf:
                bound = "at most 1 (a share of the schedule)" if most == 1 else "finite"
                raise ValueError(f"level must be above 0 and {bound}, got {self.level}")
            if self.lowest is not None and not 0 <= self.lowest <= self.level:
                raise ValueError(f"lowest must lie in [0, {self.level}], got {self.lowest}")

    def __init__(self, config: Config) -> None:
        self.config = config

    def problems(self, clean: Tensor, draws: RowDraws) -> Batch:
        """``given`` as ``clean``, and ``level`` (B,): the std σ of its noise."""
        levels = torch.full((len(clean),), self.config.level)
        if self.config.lowest is not None:
            span = self.config.level - self.config.lowest
            levels = self.config.lowest + span * draws.uniform()
        std = self._std(levels)
        return {"given": self.noisy(clean, std, draws), "level": std}

    def noisy(self, clean: Tensor, std: Tensor, draws: RowDraws) -> Tensor:
        """Images with noise of std (B,)."""
        wide = std[:, None, None, None]
        noise = draws.normal(*clean.shape[1:]).mul_(wide)
        if self.config.noise == "added":
            return noise.add_(clean)
        return noise.addcmul_(clean, (1 - wide.square()).sqrt())

    def _std(self, levels: Tensor) -> Tensor:
        if self.config.noise == "added":
            return levels
        steps = (levels * _STEPS).long().clamp(min=1) - 1
        return self._schedule[steps]

    @cached_property
    def _schedule(self) -> Tensor:
        kept = (1 - torch.linspace(_FIRST, _LAST, _STEPS, dtype=torch.float64)).cumprod(0)
        return (1 - kept).sqrt().float()
