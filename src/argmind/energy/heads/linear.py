"""The linear energy head."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.energy.heads.base import Head
from argmind.registry import register


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
