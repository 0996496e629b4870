"""What an energy head is; none has a bias, since a bias on the energy has no gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.registry import Part
from argmind.spaces.base import Embedding


class Head(nn.Module, Part):
    """``forward(h, pair) → energy``: hidden states (..., D) and what the space pairs with them.

    Built with the width D, and that of the pair.
    """

    #: Is it given hidden states as the space itself reads them (..., Q)?
    shares_readout: bool = False

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:
        """Energies (...) of hidden states (..., D) and what the space pairs with them (..., Q)."""
        raise NotImplementedError

    def score(self, h: Tensor, embedding: Embedding) -> Tensor:
        """Energies (...) of hidden states (..., D) of candidates that are seen like this."""
        if not self.shares_readout:
            return self(h, embedding.pair)
        assert embedding.read is not None  # seen to when the model was built
        return self(embedding.read(h), embedding.pair)

    def zero(self) -> None:
        """Start at zero energy."""
        for weight in self.parameters():
            nn.init.zeros_(weight)


def wide(x: Tensor) -> Tensor:
    """In float32 at least: energies are statistics, whose differences are what thinking follows."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def scalar(h: Tensor, weight: Tensor) -> Tensor:
    """``⟨w, h⟩`` (...) for a weight (1, D), in float32 at least under autocast too."""
    with torch.autocast(h.device.type, enabled=False):
        return F.linear(wide(h), wide(weight)).squeeze(-1)
