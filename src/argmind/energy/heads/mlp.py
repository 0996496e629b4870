"""An energy head with a layer of its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.energy.heads.base import Head, wide
from argmind.registry import register


@register("head", "mlp")
class MLPHead(Head):
    """``E = mean W₂ gelu(W₁ h + b)`` over as many numbers as a pair has; of either sign.

    The last layer has no bias: the energy's own level has no slope. Source: EBT-Policy.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int, pair_dim: int) -> None:  # noqa: ARG002
        super().__init__()
        self.w1 = nn.Linear(dim, dim)
        self.w2 = nn.Linear(dim, pair_dim, bias=False)
        nn.init.xavier_uniform_(self.w1.weight)
        nn.init.zeros_(self.w1.bias)
        nn.init.xavier_uniform_(self.w2.weight)

    def numbers(self, h: Tensor) -> Tensor:
        """What the energy is the mean of (..., Q)."""
        return self.w2(F.gelu(self.w1(h), approximate="tanh"))

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:  # noqa: ARG002
        """Energies (...)."""
        return wide(self.numbers(h)).mean(-1)
