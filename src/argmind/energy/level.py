"""What of an energy no candidate can change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.energy.heads.base import scalar

_WIDTH = 32
#: Losses may be of any size: their common scale is learnt this much faster than their differences.
_SCALE_RATE = 10.0


class Level(nn.Module):
    """``exp(⟨w, gelu(W h)⟩ + c)`` of the context's output: the loss the best answer would have.

    The expected squared error of an answer is its distance from the mean of what may come, and the
    variance of that. A head reads the former, this the latter; thinking does not feel it.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, _WIDTH)
        self.outer = nn.Linear(_WIDTH, 1, bias=False)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Tensor) -> Tensor:
        """Levels (B, P) of hidden states (B, P, D)."""
        told = scalar(F.gelu(self.inner(hidden)), self.outer.weight)
        return torch.exp(told + _SCALE_RATE * self.scale)
