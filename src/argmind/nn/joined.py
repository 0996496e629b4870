"""Linear layers that read the same rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def joined(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """What each of these layers, which have no biases, makes of rows ``x`` (..., D).

    Compiled it is one product: wide ones use a GPU better, above all for the gradients of weights,
    and putting the weights side by side costs little beside it.
    """
    if not torch.compiler.is_compiling():
        return tuple(layer(x) for layer in layers)
    return together(x, *layers).split([layer.out_features for layer in layers], dim=-1)


def together(x: Tensor, *layers: nn.Linear) -> Tensor:
    """The same side by side (..., D₁ + D₂ + …), by one product."""
    return F.linear(x, torch.cat([layer.weight for layer in layers]))
