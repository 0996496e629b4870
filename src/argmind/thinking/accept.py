"""Which moves are kept: all of them, or only those that lowered the energy."""

from __future__ import annotations

import torch
from torch import Tensor


class Always:
    """Every move is kept."""

    def judge(self, y: Tensor, energy: Tensor, delta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Go on from ``y`` by ``delta``."""
        return y, energy, delta

    def finish(self, y: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """The last candidate stands."""
        return y, energy


class OnlyIfLower:
    """A move that did not lower the energy is taken back, and tried again at half the length.

    Needs no evaluation of its own: a move is judged by the energy that the next step computes
    anyway. With a step-conditioned model energies of two landscapes are compared.
    """

    def __init__(self) -> None:
        self.y: Tensor | None = None
        self.energy: Tensor
        self.delta: Tensor

    def judge(self, y: Tensor, energy: Tensor, delta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Per prediction: go on from ``y`` if it is lower, else from before, half as far."""
        if self.y is None:
            self.y, self.energy, self.delta = y, energy, delta
        else:
            lower = energy <= self.energy
            wide = lower.reshape(lower.shape + (1,) * (y.ndim - lower.ndim))
            self.y = torch.where(wide, y, self.y)
            self.energy = torch.where(lower, energy, self.energy)
            self.delta = torch.where(wide, delta, 0.5 * self.delta)
        return self.y, self.energy, self.delta

    def finish(self, y: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """The lower of the last candidate and the one before it."""
        if self.y is None:
            return y, energy
        kept, least, _ = self.judge(y, energy, self.delta)
        return kept, least
