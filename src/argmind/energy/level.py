"""What of an energy no candidate can change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.energy.heads.base import scalar
from argmind.nn.position import Rotation

_WIDTH = 128
#: Losses may be of any size: their common scale is learnt this much faster than their differences.
_SCALE_RATE = 10.0


class _Reading(nn.Linear):
    """Learns faster than the trunk, which changes all the while and feels nothing of it."""

    lr_factor = 3.0


class Level(nn.Module):
    """``exp(⟨w, gelu(V gelu(W [h, p]))⟩ + c)``: the loss the best answer would have.

    h is the context's output, p sines and cosines of where it stands: relative positions tell no
    row which one it is, and when something is about to happen may be all there is to know.
    The expected squared error of an answer is its distance from the mean of what may come, and the
    variance of that. A head reads the former, this the latter; thinking does not feel it.
    """

    lr_factor = _Reading.lr_factor

    def __init__(self, dim: int, waves: int) -> None:
        """``waves``: how many sines and cosines there are, together."""
        super().__init__()
        self.inner = _Reading(dim + waves, _WIDTH)
        self.middle = _Reading(_WIDTH, _WIDTH)
        self.outer = _Reading(_WIDTH, 1, bias=False)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Tensor, turn: Rotation) -> Tensor:
        """Levels (B, P) of hidden states (B, P, D) at these positions."""
        waves = torch.cat([angle[:, 0] for angle in turn], dim=-1).to(hidden)
        seen = torch.cat([hidden, waves.expand(*hidden.shape[:-1], -1)], dim=-1)
        read = F.gelu(self.middle(F.gelu(self.inner(seen))))
        told = scalar(read, self.outer.weight)
        return torch.exp(told + _SCALE_RATE * self.scale)
