"""What is under way from batch to batch, in memory that stays where it is."""

from __future__ import annotations

import torch
from torch import Tensor

Rows = dict[str, Tensor]


class UnderWay:
    """Named rows of the problems that the last batch left unfinished, one row a problem.

    Rows of the same shapes are always kept in the same memory, which is never given back: a step
    that was recorded finds them where it left them, whatever other batches came in between.
    """

    def __init__(self) -> None:
        self.rows: Rows = {}
        self._memory: dict[tuple[tuple[str, torch.Size], ...], Rows] = {}

    def suits(self, batch: Rows) -> bool:
        """Is there something, and of this batch's shapes?"""
        return bool(self.rows) and all(
            self.rows[name].shape == rows.shape for name, rows in batch.items()
        )

    def keep(self, rows: Rows) -> None:
        """These from now on."""
        shapes = tuple((name, new.shape) for name, new in rows.items())
        if shapes in self._memory:
            self.rows = self._memory[shapes]
            for name, new in rows.items():
                self.rows[name].copy_(new)
        else:
            self.rows = {name: new.detach().clone() for name, new in rows.items()}
            self._memory[shapes] = self.rows


def choose(chosen: Tensor, these: Tensor, others: Tensor) -> Tensor:
    """Rows of the one where they are ``chosen`` (B), of the other elsewhere."""
    return torch.where(chosen.reshape(-1, *(1,) * (these.ndim - 1)), these, others)
