"""Which moves are kept: all of them, or only those that lowered the energy."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from argmind.thinking.landscape import Slope


class Move(NamedTuple):
    """Go on from candidate ``y``, whose slope is known, by ``delta``."""

    y: Tensor
    slope: Slope
    delta: Tensor


class Always:
    """Every move is kept."""

    def judge(self, move: Move) -> Move:
        """The move as it is."""
        return move

    def finish(self, y: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """The last candidate stands."""
        return y, energy


class OnlyIfLower:
    """A move that did not lower the energy is taken back, and tried again at half the length.

    Needs no evaluation of its own: a move is judged by the energy that the next step computes
    anyway. A non-finite energy is not lower. With a step-conditioned model energies of two
    landscapes are compared.
    """

    def __init__(self) -> None:
        self.kept: Move | None = None

    def judge(self, move: Move) -> Move:
        """Per prediction: go on from the new candidate if it is lower, else from before."""
        if self.kept is None:
            self.kept = move
            return move
        old = self.kept
        lower = move.slope.energy <= old.slope.energy
        pairs = zip(move.slope, old.slope, strict=True)
        slope = Slope(*(per_prediction(lower, new, known) for new, known in pairs))
        y = per_prediction(lower, move.y, old.y)
        self.kept = Move(y, slope, per_prediction(lower, move.delta, 0.5 * old.delta))
        return self.kept

    def finish(self, y: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """The lower of the last candidate and the one before it."""
        if self.kept is None:
            return y, energy
        lower = energy <= self.kept.slope.energy
        y = per_prediction(lower, y, self.kept.y)
        return y, torch.where(lower, energy, self.kept.slope.energy)


def per_prediction(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """``yes`` where the mask (B, N, *P) says so, else ``no``; features follow their prediction."""
    return torch.where(mask.reshape(mask.shape + (1,) * (yes.ndim - mask.ndim)), yes, no)
