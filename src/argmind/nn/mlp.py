"""A small network between two widths."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.nn.norm.layer import LayerNorm


class MLP(nn.Module):
    """``W₂ norm(gelu(W₁ x + b₁)) + b₂``, tanh form, over the last axis.

    Source: EBT-Policy's public code.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(inputs, hidden)
        self.norm = LayerNorm(LayerNorm.Config(affine=True), hidden)
        self.w2 = nn.Linear(hidden, outputs)
        for layer in (self.w1, self.w2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) → (..., outputs)."""
        return self.w2(self.norm(F.gelu(self.w1(x), approximate="tanh")))
