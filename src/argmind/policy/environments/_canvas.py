"""Simple pictures out of numpy alone: discs, boxes and lines with smooth edges."""

from __future__ import annotations

from copy import copy
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Colours that pictures of all environments share.
PAPER, WALL, AGENT, GOAL, TRAIL = (
    (248, 247, 243),
    (94, 98, 110),
    (36, 104, 176),
    (62, 158, 92),
    (178, 203, 228),
)
Colour = tuple[int, int, int]
Place = NDArray[np.float64]


class Canvas:
    """A square picture of the part of the plane between two corners; y points up."""

    def __init__(self, size: int, low: ArrayLike, high: ArrayLike) -> None:
        self._pixels = np.empty((size, size, 3), dtype=np.float32)
        self._pixels[:] = PAPER
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        span = float((high - low).max())
        self._pixel = span / size
        middle = (low + high) / 2
        line = (np.arange(size) + 0.5) / size * span - span / 2
        self._x, self._y = middle[0] + line[None, :], middle[1] - line[:, None]

    def copy(self) -> Canvas:
        """One of its own, with the same on it."""
        other = copy(self)
        other._pixels = self._pixels.copy()
        return other

    def disc(self, centre: ArrayLike, radius: float, colour: Colour) -> None:
        """A filled circle."""
        x, y = np.asarray(centre, dtype=np.float64)
        self._fill(np.hypot(self._x - x, self._y - y) - radius, colour)

    def ring(self, centre: ArrayLike, radius: float, width: float, colour: Colour) -> None:
        """A circle's edge."""
        x, y = np.asarray(centre, dtype=np.float64)
        distance = np.abs(np.hypot(self._x - x, self._y - y) - radius)
        self._fill(distance - width / 2, colour)

    def box(self, low: ArrayLike, high: ArrayLike, colour: Colour) -> None:
        """A filled upright rectangle."""
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        across = np.maximum(low[0] - self._x, self._x - high[0])
        along = np.maximum(low[1] - self._y, self._y - high[1])
        self._fill(np.maximum(across, along), colour)

    def line(self, points: ArrayLike, width: float, colour: Colour) -> None:
        """A line through points (n, 2), with round ends."""
        places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        distance = np.full((len(self._y), self._x.shape[1]), np.inf)
        for start, end in pairwise(places):
            way = end - start
            length = max(float(way @ way), 1e-12)
            rows, columns = self._near(np.minimum(start, end), np.maximum(start, end), width)
            across, along = self._x[:, columns] - start[0], self._y[rows] - start[1]
            share = np.clip((across * way[0] + along * way[1]) / length, 0, 1)
            nearest = np.hypot(across - share * way[0], along - share * way[1])
            distance[rows, columns] = np.minimum(distance[rows, columns], nearest)
        self._fill(distance - width / 2, colour)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """What has been drawn: (size, size, 3)."""
        return np.rint(self._pixels).astype(np.uint8)

    def _near(self, low: Place, high: Place, margin: float) -> tuple[slice, slice]:
        """Rows and columns of the pixels around a box."""
        margin += 2 * self._pixel
        rows = np.searchsorted(-self._y[:, 0], (-high[1] - margin, -low[1] + margin))
        columns = np.searchsorted(self._x[0], (low[0] - margin, high[0] + margin))
        return slice(*rows), slice(*columns)

    def _fill(self, distance: NDArray[np.float64], colour: Colour) -> None:
        """Paint where the signed distance to an edge is below 0, half a pixel softly."""
        share = np.clip(0.5 - distance / self._pixel, 0, 1)[..., None].astype(np.float32)
        self._pixels += share * (np.asarray(colour, dtype=np.float32) - self._pixels)
