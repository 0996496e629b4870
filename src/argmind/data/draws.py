"""Random numbers for the rows of a batch, each row's a pure function of (seed, sample index)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from argmind.data.order import mix, row_seeds


class RowDraws:
    """Streams of random numbers: what a row draws does not depend on its neighbours.

    ``purpose`` keeps apart what is drawn for different ends, so that one more draw for one of them
    leaves the others as they were.
    """

    def __init__(self, seed: int, purpose: int, index: ArrayLike) -> None:
        self._words = row_seeds(seed, purpose, index)

    def __len__(self) -> int:
        return len(self._words)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (B, *shape)."""
        drawn = torch.empty((len(self), *shape))
        generator = torch.Generator()
        for row, seed in zip(drawn, self._next().tolist(), strict=True):
            row.normal_(generator=generator.manual_seed(seed))
        return drawn

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), (B, *shape)."""
        places = np.arange(int(np.prod(shape)), dtype=np.uint64)
        words = mix(self._next()[:, None] + places)
        numbers = (words >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        return torch.from_numpy(numbers.reshape(len(self), *shape))

    def below(self, limit: int, *shape: int) -> Tensor:
        """Whole numbers in [0, limit), int64 (B, *shape)."""
        return (self.uniform(*shape).double() * limit).long()

    def _next(self) -> NDArray[np.uint64]:
        """A fresh word for each row."""
        self._words = mix(self._words)
        return self._words
