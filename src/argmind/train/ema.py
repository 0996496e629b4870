"""A moving average of the weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def decay_at(step: int, decay: float, power: float | None = None) -> float:
    """Share of the average that is kept at the ``step``-th optimiser step, from 0.

    It climbs to ``decay``, so that the random start leaves the average: with a ``power`` as
    ``1 - (1 + t)^-power`` (0.75 in Diffusion Policy), else as ``(1 + t) / (10 + t)``.
    """
    ramp = (1 + step) / (10 + step) if power is None else 1 - (1 + step) ** -power
    return min(decay, ramp)


class Ema:
    """``average <- d * average + (1 - d) * weight`` with ``d`` of :func:`decay_at`."""

    def __init__(
        self, weights: Mapping[str, Tensor], decay: float, power: float | None = None
    ) -> None:
        self.decay, self.power = decay, power
        self._weights = dict(weights)
        self._average = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def update(self, step: int, bad: Tensor) -> None:
        """Move towards the weights, or stay where ``bad`` (0-d, on the device) is 1."""
        rate = (1 - bad) * (1 - decay_at(step, self.decay, self.power))
        averages = list(self._average.values())
        # All tensors in three calls: one by one, launching takes longer than the work.
        move = torch._foreach_sub(list(self._weights.values()), averages)  # pyright: ignore
        torch._foreach_mul_(move, rate)  # pyright: ignore
        torch._foreach_add_(averages, move)  # pyright: ignore

    def restarted(self) -> Ema:
        """The same average, begun anew from the weights as they are."""
        return Ema(self._weights, self.decay, self.power)

    @contextmanager
    def applied(self) -> Generator[None]:
        """The averages stand in for the weights inside the ``with`` block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, weight in self._weights.items():
            weight.data, self._average[name] = self._average[name], weight.data

    def tensors(self) -> dict[str, Tensor]:
        """The averages by parameter name."""
        return dict(self._average)

    @torch.no_grad()
    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up averages given by :meth:`tensors`."""
        for name, average in self._average.items():
            average.copy_(tensors[name])
