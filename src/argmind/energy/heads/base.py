"""What an energy head is; none has a bias, since a bias on the energy has no gradient."""

from __future__ import annotations

from torch import Tensor, nn

from argmind.registry import Part


class Head(nn.Module, Part):
    """``forward(h, pair) → energy``: hidden states (..., D) and what the space pairs with them.

    Built with the width D, and that of the pair.
    """

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:
        """Energies (...) of hidden states (..., D) and what the space pairs with them (..., Q)."""
        raise NotImplementedError

    def zero(self) -> None:
        """Start at zero energy."""
        for weight in self.parameters():
            nn.init.zeros_(weight)
