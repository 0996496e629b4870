"""The quadratic energy head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.energy.heads.base import Head, wide
from argmind.registry import register


class _Slow(nn.Linear):
    """From zeros: at the trunk's rate its first steps are noise, which the guess makes up for."""

    lr_factor = 0.1


@register("head", "quadratic")
class QuadraticHead(Head):
    """``E = ½ ‖y − r(h)‖²``: how far the candidate is from what the model would make of it.

    Never below zero, so that thinking has somewhere to settle, and read as a squared error. A step
    moves towards ``r(h)`` and, through h, to where the model agrees with the candidate. r is
    linear, or ``g(ĥ + W h)`` where the space reads its first guess as ``g(ĥ)``: W starts at zeros,
    so that it is the guess until something better is learnt. Two readouts of their own would pull
    a shared trunk apart.
    Source: Hurault, Leclaire & Papadakis 2022 (gradient-step denoiser); Cohen et al. 2021.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: Over a pair's entries: their sum, or their mean (½ mean squared error of a whole frame).
        reduction: Literal["sum", "mean"] = "sum"
        #: r: linear, with weights of the head's own, or the first guess and what is added to it.
        readout: Literal["own", "guess"] = "own"

    def __init__(self, config: Config, dim: int, pair_dim: int) -> None:
        super().__init__()
        self.share = 1 / pair_dim if config.reduction == "mean" else 1.0
        self.adds_to_guess = config.readout == "guess"
        self.readout = self.addition = None
        if self.adds_to_guess:
            self.addition = _Slow(dim, dim, bias=False)
            nn.init.zeros_(self.addition.weight)
        else:
            self.readout = nn.Linear(dim, pair_dim, bias=False)
            nn.init.normal_(self.readout.weight, std=0.02)

    def added(self, h: Tensor) -> Tensor:
        """(..., D)."""
        assert self.addition is not None  # asked for by adds_to_guess
        return self.addition(h)

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:
        """Energies (...) of hidden states (..., D), or of what was read from them (..., Q)."""
        told = h if self.readout is None else self.readout(h)
        return 0.5 * self.share * (wide(pair) - told).square().sum(-1)
