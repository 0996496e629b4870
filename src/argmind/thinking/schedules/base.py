"""What a schedule does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from argmind.randomness import Randomness
from argmind.registry import Part

#: Step index → step size: a number, or a tensor that broadcasts over (B, N, *P).
Sizes = Callable[[int], "Tensor | float"]


class Schedule(nn.Module, Part):
    """Step sizes of one thought; drawn afresh for every thought where they are random."""

    def sizes(
        self, predictions: torch.Size, like: Tensor, generator: Randomness, noisy: bool
    ) -> Sizes:
        """Sizes for predictions (B, N, *P) of candidates like ``like``.

        ``noisy``: training-time randomness applies.
        """
        raise NotImplementedError


def require_positive(**values: float) -> None:
    """Raise a :class:`ValueError` naming the first value that is not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
