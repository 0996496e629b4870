"""Round sprites that fly, bounce off walls and off one another, and how they look."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from argmind.data.draws import RowDraws
from argmind.data.images.digits import digits
from argmind.data.order import epoch_order
from argmind.data.scenes.base import Floats

#: Parts of a frame that are simulated one after another, so that nothing flies through anything.
_SUBSTEPS = 4
#: One digit in so many is kept for held-out clips.
_HELD_OUT = 10


def sprites(draws: RowDraws, count: int, held_out: bool) -> Floats:
    """For every clip ``count`` handwritten digits (B, count, 8, 8) in [0, 1]."""
    pixels, _ = digits()
    order = epoch_order(0, 0, len(pixels))
    cut = len(order) // _HELD_OUT
    own = order[:cut] if held_out else order[cut:]
    chosen = own[draws.below(len(own), count).numpy()]
    return pixels[chosen].astype(np.float32) / np.float32(255)


def places(draws: RowDraws, count: int, radius: float, size: int) -> Floats:
    """Centres (B, count, 2) of up to four sprites that do not touch: each in a quarter of its own.

    ``radius`` is at most a quarter of ``size``.
    """
    quarter = np.argsort(draws.uniform(4).numpy(), axis=1)[:, :count]
    corner = np.stack([quarter // 2, quarter % 2], axis=-1) * (size / 2)
    room = size / 2 - 2 * radius
    return (corner + radius + room * draws.uniform(count, 2).numpy()).astype(np.float32)


def velocities(draws: RowDraws, count: int, slowest: float, fastest: float) -> Floats:
    """Velocities (B, count, 2) in any direction."""
    drawn = draws.uniform(count, 2).numpy()
    angle, speed = 2 * np.pi * drawn[..., 0], slowest + (fastest - slowest) * drawn[..., 1]
    way = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    return (speed[..., None] * way).astype(np.float32)


def advanced(where: Floats, velocity: Floats, radius: float, size: int) -> tuple[Floats, Floats]:
    """Centres and velocities (B, N, 2) one frame later.

    Walls reflect; sprites of equal mass collide elastically, as discs do.
    """
    for _ in range(_SUBSTEPS):
        where = where + velocity / _SUBSTEPS
        low, high = where < radius, where > size - radius
        where = np.where(
            low, 2 * radius - where, np.where(high, 2 * (size - radius) - where, where)
        )
        velocity = np.where(low, np.abs(velocity), np.where(high, -np.abs(velocity), velocity))
        for one, other in combinations(range(where.shape[1]), 2):
            velocity = _collided(where, velocity, one, other, radius)
    return where, velocity


def _collided(where: Floats, velocity: Floats, one: int, other: int, radius: float) -> Floats:
    """Velocities after two sprites exchanged theirs along the line between them, if they touch."""
    between = where[:, other] - where[:, one]
    distance = np.maximum(np.linalg.norm(between, axis=-1, keepdims=True), 1e-6)
    line = between / distance
    nearing = ((velocity[:, one] - velocity[:, other]) * line).sum(-1, keepdims=True)
    exchanged = np.where((distance < 2 * radius) & (nearing > 0), nearing, 0) * line
    changed = velocity.copy()
    changed[:, one] -= exchanged
    changed[:, other] += exchanged
    return changed


def drawn(shapes: Floats, where: Floats, side: float, size: int) -> Floats:
    """Frames (B, T, 1, size, size) in [-1, 1] of sprites (B, N, s, s) at (B, T, N, 2).

    Between pixels they are interpolated linearly; where they overlap the brighter one is seen.
    """
    rows, columns = (_weights(where[..., axis], shapes.shape[-1], side, size) for axis in (0, 1))
    seen = rows @ torch.from_numpy(shapes)[:, None] @ columns.mT
    frames = seen.amax(2).clamp(max=1).mul_(2).sub_(1)
    return frames[:, :, None].numpy()


def _weights(centre: Floats, pixels: int, side: float, size: int) -> torch.Tensor:
    """How much of every sprite pixel every canvas pixel sees (…, size, pixels), along one axis."""
    pitch = side / pixels
    width = max(pitch, 1.0)
    offsets = torch.arange(pixels) * pitch + (pitch - side) / 2
    at = torch.from_numpy(centre)[..., None, None] + offsets
    distance = (torch.arange(size)[:, None] + 0.5 - at).abs()
    return (1 - distance / width).clamp(min=0) * (pitch / width)
