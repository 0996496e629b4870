"""Steering a mass from one waypoint to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from argmind.policy.environments.base import Floats

Place = NDArray[np.float64]


class Waypoints:
    """Heads for places in turn; the last one stays.

    ``a = clip(gain (target − x) − damping v)``.
    """

    def __init__(self, places: Sequence[Place], gain: float, damping: float, near: float) -> None:
        self._left = list(places)
        self._gain, self._damping, self._near = gain, damping, near

    def action(self, place: Place, velocity: Place) -> Floats:
        """The action (2,) at a place, before noise."""
        while len(self._left) > 1 and np.linalg.norm(self._left[0] - place) < self._near:
            self._left.pop(0)
        wanted = self._gain * (self._left[0] - place) - self._damping * velocity
        return (wanted / max(1.0, float(np.abs(wanted).max()))).astype(np.float32)


def noisy(action: Floats, noise_std: float, rng: np.random.Generator) -> Floats:
    """The action with normal noise, kept within [-1, 1]."""
    drawn = action + noise_std * rng.standard_normal(action.shape)
    return np.clip(drawn, -1, 1).astype(np.float32)
