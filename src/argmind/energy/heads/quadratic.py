"""The quadratic energy head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.energy.heads.base import Head, wide
from argmind.registry import register


@register("head", "quadratic")
class QuadraticHead(Head):
    """``E = ½ ‖y − r(h)‖²``: how far the candidate is from what the model would make of it.

    Never below zero, so that thinking has somewhere to settle, and read as a squared error. A step
    moves towards ``r(h)`` and, through h, to where the model agrees with the candidate. r is linear
    or the space's own: a trunk that two readouts share is pulled apart by them.
    Source: Hurault, Leclaire & Papadakis 2022 (gradient-step denoiser); Cohen et al. 2021.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: Over a pair's entries: their sum, or their mean (½ mean squared error of a whole frame).
        reduction: Literal["sum", "mean"] = "sum"
        #: r: linear, with weights of the head's own, or that of the space's first guess.
        readout: Literal["own", "space"] = "own"

    def __init__(self, config: Config, dim: int, pair_dim: int) -> None:
        super().__init__()
        self.share = 1 / pair_dim if config.reduction == "mean" else 1.0
        self.shares_readout = config.readout == "space"
        self.readout = None if self.shares_readout else nn.Linear(dim, pair_dim, bias=False)
        if self.readout is not None:
            nn.init.normal_(self.readout.weight, std=0.02)

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:
        """Energies (...)."""
        told = h if self.readout is None else self.readout(h)
        return 0.5 * self.share * (wide(pair) - told).square().sum(-1)
