"""Data order as a pure function of (seed, epoch, index): nothing to save, nothing to restore.

Every epoch is an exact permutation of the samples: the order in which a 64-bit bijective hash of
(seed, epoch, sample) sorts them. Any rank, worker or resumed run asks for the positions it needs;
the hash is our own, so the order does not change with the version of a random generator.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def sample_at(seed: int, index: ArrayLike, samples: int) -> NDArray[np.int64]:
    """Which sample stands at each position of the endless order.

    Args:
        seed: any integer.
        index: positions, from 0; any shape.
        samples: samples in one epoch.
    """
    if samples < 1:
        raise ValueError(f"an order needs at least one sample, got {samples}")
    positions = np.asarray(index, dtype=np.int64)
    if positions.size and positions.min() < 0:
        raise ValueError("positions of the data order start at 0")
    epochs, places = np.divmod(positions, samples)
    chosen = np.empty(positions.shape, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = epoch_order(seed, int(epoch), samples)[places[here]]
    return chosen


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, samples: int) -> NDArray[np.int64]:
    """The permutation of one epoch (read-only; 8 bytes per sample, the last few are kept)."""
    key = _mix_int(_mix_int(seed & _WORD) ^ _mix_int(epoch + _GOLDEN))
    hashed = mix(np.arange(samples, dtype=np.uint64) + np.uint64(key))
    order = np.argsort(hashed).astype(np.int64, copy=False)
    order.flags.writeable = False
    return order


def mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A random-looking bijection of 64-bit words."""
    # SplitMix64 (Steele, Lea, Flood 2014): a bijection, so no two samples tie.
    words = words + np.uint64(_GOLDEN)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _mix_int(word: int) -> int:
    return int(mix(np.array([word & _WORD], dtype=np.uint64))[0])


def row_seeds(seed: int, purpose: int, index: ArrayLike) -> NDArray[np.uint64]:
    """A 64-bit seed for each sample index, and others for each purpose of drawing."""
    key = _mix_int(_mix_int(seed & _WORD) ^ _mix_int(purpose + _GOLDEN))
    return mix(mix(np.asarray(index, dtype=np.int64).astype(np.uint64)) ^ np.uint64(key))
