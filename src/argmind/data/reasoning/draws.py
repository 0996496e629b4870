"""Random numbers for numbered samples: each row depends on (seed, stream, its number) alone.

So a problem is the same whoever asks for it, alone or among others, and drawing many is one array
operation. The hash is SplitMix64, as for the order of samples.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from argmind.data.order import mix

Array = NDArray[Any]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draws:
    """A stream of draws for every number in ``index``; each call goes on where the last ended."""

    def __init__(self, seed: int, stream: str, index: ArrayLike) -> None:
        name = f"{seed}/{stream}".encode()
        key = np.frombuffer(hashlib.blake2b(name, digest_size=8).digest(), "<u8")
        self._rows = mix(mix(np.asarray(index, dtype=np.int64).astype(np.uint64)) + key)
        self._drawn = 0

    def __len__(self) -> int:
        return len(self._rows)

    def words(self, count: int) -> NDArray[np.uint64]:
        """Random 64-bit words (rows, count)."""
        place = np.arange(self._drawn, self._drawn + count, dtype=np.uint64)
        self._drawn += count
        return mix(self._rows[:, None] + place * _GOLDEN)

    def uniform(self, *shape: int) -> Array:
        """Numbers in [0, 1), (rows, *shape)."""
        words = self.words(int(np.prod(shape, dtype=int)))
        return ((words >> np.uint64(11)) * 2.0**-53).reshape(len(self), *shape)

    def below(self, high: int | Array, *shape: int) -> NDArray[np.int64]:
        """Whole numbers in [0, high), (rows, *shape); ``high`` broadcasts."""
        return (self.uniform(*shape) * high).astype(np.int64)

    def normal(self, *shape: int) -> Array:
        """Standard normal numbers (rows, *shape), by Box and Muller."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(*shape)))
        return radius * np.cos(2 * np.pi * self.uniform(*shape))

    def permutation(self, length: int) -> NDArray[np.int64]:
        """Permutations of 0 … length − 1, (rows, length)."""
        return np.argsort(self.words(length), axis=1)
