"""The linear energy head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.energy.heads.base import Head, scalar
from argmind.registry import register


@register("head", "linear")
class LinearHead(Head):
    """``E = ⟨w, h⟩``. Source: Energy-Based Transformers, public code."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: The published text models start at random, the image models at zero energy.
        start: Literal["random", "zeros"] = "random"

    def __init__(self, config: Config, dim: int, pair_dim: int) -> None:  # noqa: ARG002
        super().__init__()
        self.linear = nn.Linear(dim, 1, bias=False)
        if config.start == "random":
            nn.init.xavier_uniform_(self.linear.weight)
        else:
            nn.init.zeros_(self.linear.weight)

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:  # noqa: ARG002
        """Energies (...)."""
        return scalar(h, self.linear.weight)
