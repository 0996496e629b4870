"""A digit that turns left or right by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.base import digest_of
from argmind.data.draws import RowDraws
from argmind.data.images.digits import DigitsSource
from argmind.data.scenes._sprites import advanced, drawn, places, sprites, velocities
from argmind.data.scenes.base import Clips, Floats, Scene
from argmind.data.scenes.digits import check_flight
from argmind.registry import register


@register("scene", "turning")
class TurningDigit(Scene):
    """One digit that turns left or right by a right angle where it would first leave its quarter.

    Each way comes half the time, and nothing tells which. That it is about to turn is seen: it
    heads for one of the frame's two middle lines. So no clock tells where the future is open.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        side: float = 0.35
        slowest: float = 0.04
        fastest: float = 0.08

        def __post_init__(self) -> None:
            check_flight(self.side, self.slowest, self.fastest)

    def __init__(self, config: Config, image_size: int, frames: int) -> None:
        self.config, self.image_size, self.frames = config, image_size, frames

    @property
    def fingerprint(self) -> str:
        """Of the digits."""
        return digest_of("scene turning", DigitsSource().fingerprint)

    def clips(self, seed: int, index: NDArray[np.int64], held_out: bool) -> Clips:
        """``random`` at the last frame before the turn, which not every clip has."""
        config, size = self.config, self.image_size
        draws = RowDraws(seed, int(held_out), index)
        radius = config.side * size / 2
        shapes = sprites(draws, 1, held_out)
        where = places(draws, 1, radius, size)
        velocity = velocities(draws, 1, config.slowest * size, config.fastest * size)
        right = draws.uniform(1).numpy() < 0.5
        path, random = [where], np.zeros((len(index), self.frames), dtype=np.bool_)
        for frame in range(self.frames - 1):
            ahead, _ = advanced(where, velocity, radius, size)
            leaves = ((where < size / 2) != (ahead < size / 2)).any((1, 2))
            # One frame alone tells no speed: the first never is the one.
            random[:, frame] = leaves & ~random.any(1) & (frame > 0)
            velocity = np.where(random[:, frame, None, None], _turned(velocity, right), velocity)
            where, velocity = advanced(where, velocity, radius, size)
            path.append(where)
        return Clips(drawn(shapes, np.stack(path, axis=1), 2 * radius, size), None, random)


def _turned(velocity: Floats, right: NDArray[np.bool_]) -> Floats:
    """Velocities (B, N, 2) as (down, right), a quarter turn to the right or left on."""
    sign = np.where(right, 1, -1).astype(np.float32)
    return np.stack([sign * velocity[..., 1], -sign * velocity[..., 0]], axis=-1)
