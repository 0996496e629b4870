"""The plain feed-forward layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.registry import Part, register


@register("feedforward", "gelu")
class GELU(nn.Module, Part):
    """``w2 gelu(w1 x)`` with biases, hidden width = ``multiplier`` × model width, tanh form.

    Source: Dosovitskiy et al. 2021 (ViT); Peebles & Xie 2023 (DiT).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        multiplier: float = 4.0

        def __post_init__(self) -> None:
            if self.multiplier <= 0:
                raise ValueError(f"multiplier must be positive, got {self.multiplier}")

    def __init__(self, config: Config, dim: int) -> None:
        super().__init__()
        hidden = max(1, round(config.multiplier * dim))
        self.w1 = nn.Linear(dim, hidden)
        self.w2 = nn.Linear(hidden, dim)
        nn.init.zeros_(self.w1.bias)
        nn.init.zeros_(self.w2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) → (..., dim)."""
        return self.w2(F.gelu(self.w1(x), approximate="tanh"))
