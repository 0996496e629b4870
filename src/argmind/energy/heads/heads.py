"""Linear and bilinear energy heads; without bias, since a bias on the energy has no gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.registry import Part, register


class Head(nn.Module, Part):
    """``forward(h, pair) → energy``: hidden states (..., D) and what the space pairs with them."""

    def zero(self) -> None:
        """Start at zero energy."""
        for weight in self.parameters():
            nn.init.zeros_(weight)


@register("head", "linear")
class LinearHead(Head):
    """``E = ⟨w, h⟩``. Source: Energy-Based Transformers, public code."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int) -> None:  # noqa: ARG002
        super().__init__()
        self.linear = nn.Linear(dim, 1, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:  # noqa: ARG002
        """Energies (...)."""
        return self.linear(h).squeeze(-1)


@register("head", "bilinear")
class BilinearHead(Head):
    """``E = ⟨w, h⟩ − ⟨U h, y⟩ + ρ/2 ‖y‖²``, U starting as the identity, w at zero.

    A step from this energy adds ``U h`` to the candidate first of all, so that a hidden state
    can be an answer at once; ρ ≥ 0 pulls the candidate back and keeps long descents in place
    (ρ = 0 by default: no pull).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pull: float = 0.0

    def __init__(self, config: Config, dim: int) -> None:
        super().__init__()
        self.pull = config.pull
        self.linear = nn.Linear(dim, 1, bias=False)
        self.bilinear = nn.Linear(dim, dim, bias=False)
        nn.init.zeros_(self.linear.weight)
        with torch.no_grad():
            self.bilinear.weight.copy_(torch.eye(dim))

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:
        """Energies (...)."""
        energy = self.linear(h).squeeze(-1) - (self.bilinear(h) * pair).sum(-1)
        return energy + 0.5 * self.pull * pair.square().sum(-1) if self.pull else energy
