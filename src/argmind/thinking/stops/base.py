"""What a stop decides."""

from __future__ import annotations

from torch import Tensor

from argmind.registry import Part


class Stop(Part):
    """``finished`` says, per prediction, whether this step's move is not worth making.

    ``settles`` is False where every prediction runs its whole budget, which needs no checks.
    """

    settles = True

    def finished(self, energy: Tensor, previous: Tensor | None, gradient: Tensor) -> Tensor:
        """(B, N, *P) bool, from this step's energy, the one before, and the gradient."""
        raise NotImplementedError
