"""The gated feed-forward layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.nn.joined import joined
from argmind.nn.written_out import gated
from argmind.registry import Part, register


@register("feedforward", "swiglu")
class SwiGLU(nn.Module, Part):
    """``w2(silu(w1 x) · w3 x)``, bias-free, hidden width = ``multiplier`` × model width.

    The energy-based transformer's public text models use multiplier 1 (not 8/3).
    Source: Shazeer 2020 (GLU variants improve Transformer).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        multiplier: float = 1.0

        def __post_init__(self) -> None:
            if self.multiplier <= 0:
                raise ValueError(f"multiplier must be positive, got {self.multiplier}")

    def __init__(self, config: Config, dim: int) -> None:
        super().__init__()
        hidden = max(1, round(config.multiplier * dim))
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) → (..., dim)."""
        return self.w2(gated(*joined(x, self.w1, self.w3)))
