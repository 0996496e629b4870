"""The bilinear energy head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.energy.heads.base import Head, scalar, wide
from argmind.registry import register


@register("head", "bilinear")
class BilinearHead(Head):
    """``E = ⟨w, h⟩ − ⟨U h, y⟩ + ρ/2 ‖y‖²``, w starting at zero.

    A step from this energy adds ``U h`` to the candidate first of all. With U starting as the
    identity a hidden state is an answer at once; starting at zeros, thinking changes nothing at
    first and learns to improve a start that is already good. ρ ≥ 0 pulls the candidate back.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        start: Literal["identity", "zeros"] = "identity"
        pull: float = 0.0

        def __post_init__(self) -> None:
            if self.pull < 0:
                raise ValueError(f"pull may not be negative, got {self.pull}")

    def __init__(self, config: Config, dim: int, pair_dim: int) -> None:
        super().__init__()
        self.pull = config.pull
        self.linear = nn.Linear(dim, 1, bias=False)
        self.bilinear = nn.Linear(dim, pair_dim, bias=False)
        nn.init.zeros_(self.linear.weight)
        if config.start == "identity":
            nn.init.eye_(self.bilinear.weight)
        else:
            nn.init.zeros_(self.bilinear.weight)

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:
        """Energies (...)."""
        pair = wide(pair)
        energy = scalar(h, self.linear.weight) - (self.bilinear(h) * pair).sum(-1)
        return energy + 0.5 * self.pull * pair.square().sum(-1) if self.pull else energy
