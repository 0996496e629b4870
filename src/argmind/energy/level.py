"""What of an energy no candidate can change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.energy.heads.base import scalar
from argmind.nn.position import Rotation

_WIDTH = 64
#: How wrong the guess before was, and guesses so far on average.
_RECORD = 2
#: Logarithm of how many times less than before any guess a record can be.
_LEAST = 7.0
#: Losses may be of any size: their common scale is learnt this much faster than their differences.
_SCALE_RATE = 10.0


class Level(nn.Module):
    """``r exp(⟨w, gelu(V gelu(W [h, p, log q/r, log r/s]))⟩)``: the loss of the best answer.

    h is the context's output, p sines and cosines of where it stands: relative positions tell no
    row which one it is, and when something is about to happen may be all there is to know. r is
    the mean loss of the guesses that the context has judged so far, q that of the last: what is
    hard to foresee often stays so. Both are a learnt s before there is any.
    The expected squared error of an answer is its distance from the mean of what may come, and the
    variance of that. A head reads the former, this the latter; thinking does not feel it.
    """

    def __init__(self, dim: int, waves: int) -> None:
        """``waves``: how many sines and cosines there are, together."""
        super().__init__()
        self.inner = nn.Linear(dim + waves + _RECORD, _WIDTH)
        self.middle = nn.Linear(_WIDTH, _WIDTH)
        self.outer = nn.Linear(_WIDTH, 1, bias=False)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Tensor, turn: Rotation, record: Tensor | None = None) -> Tensor:
        """Levels (B, P) of hidden states (B, P, D) at these positions, with records (B, P, 2)."""
        start = _SCALE_RATE * self.scale
        last, mean = self._logs(hidden, record, start)
        past = torch.stack([last - mean, mean - start], dim=-1).detach().to(hidden)
        waves = torch.cat([angle[:, 0] for angle in turn], dim=-1).to(hidden)
        waves = waves.expand(*hidden.shape[:-1], -1)
        read = F.gelu(self.inner(torch.cat([hidden, waves, past], dim=-1)))
        told = scalar(F.gelu(self.middle(read)), self.outer.weight)
        return torch.exp(told + mean)

    @staticmethod
    def _logs(hidden: Tensor, record: Tensor | None, start: Tensor) -> tuple[Tensor, ...]:
        """Of the last loss and of the mean, each (B, P)."""
        if record is None:
            shape = hidden.shape[:-1]
            return start.expand(shape), start.expand(shape)
        logs = torch.where(record > 0, torch.maximum(record.log(), start - _LEAST), start)
        return logs.unbind(-1)


def record(losses: Tensor, first: Tensor | None) -> Tensor:
    """What every row knows of earlier guesses (B, S, 2): the last one's loss, and their mean.

    Args:
        losses: (B, S − 1), of guesses made at a row by what the next row shows; NaN: it shows
            nothing that they could be judged by.
        first: (B,), the first row that is no padding; None: row 0.

    Zeros where nothing has been judged yet.
    """
    row = torch.arange(losses.shape[1], device=losses.device)
    judged = losses.isfinite() & (row >= (0 if first is None else first[:, None]))
    wide = torch.promote_types(losses.dtype, torch.float32)
    losses = torch.where(judged, losses.to(wide), 0)
    last = losses.gather(1, torch.where(judged, row, 0).cummax(1).values)
    average = losses.cumsum(1) / judged.cumsum(1).clamp(min=1)
    return F.pad(torch.stack([last, average], dim=-1), (0, 0, 1, 0))
