"""A moving average of the weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Ema:
    """``average <- d * average + (1 - d) * weight`` with ``d = min(decay, (1 + t) / (10 + t))``.

    The ramp keeps the random start out of the average. ``t`` counts optimiser steps from 0.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self._weights = dict(weights)
        self._average = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def update(self, step: int, bad: Tensor) -> None:
        """Move towards the weights, or stay where ``bad`` (0-d, on the device) is 1."""
        rate = (1 - bad) * (1 - min(self.decay, (1 + step) / (10 + step)))
        for name, average in self._average.items():
            average.lerp_(self._weights[name].detach(), rate.to(average.dtype))

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
