"""Digits that fly about and collide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.base import digest_of
from argmind.data.draws import RowDraws
from argmind.data.images.digits import DigitsSource
from argmind.data.scenes._sprites import advanced, drawn, places, sprites, velocities
from argmind.data.scenes.base import Clips, Scene
from argmind.registry import register


@register("scene", "digits")
class BouncingDigits(Scene):
    """Handwritten digits that bounce off the walls and off one another: all is determined."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        count: int = 2  # digits, up to 4
        side: float = 0.35  # of a digit, as a share of the frame's
        slowest: float = 0.03  # speed, in sides of the frame per frame
        fastest: float = 0.08

        def __post_init__(self) -> None:
            if not 1 <= self.count <= 4:
                raise ValueError(f"count must lie between 1 and 4, got {self.count}")
            check_flight(self.side, self.slowest, self.fastest)

    def __init__(self, config: Config, image_size: int, frames: int) -> None:
        self.config, self.image_size, self.frames = config, image_size, frames

    @property
    def fingerprint(self) -> str:
        """Of the digits."""
        return digest_of("scene digits", DigitsSource().fingerprint)

    def clips(self, seed: int, index: NDArray[np.int64], held_out: bool) -> Clips:
        """Nothing in them is random; held-out clips show digits that no other clip does."""
        config, size = self.config, self.image_size
        draws = RowDraws(seed, int(held_out), index)
        side = config.side * size
        shapes = sprites(draws, config.count, held_out)
        where = places(draws, config.count, side / 2, size)
        velocity = velocities(draws, config.count, config.slowest * size, config.fastest * size)
        path = [where]
        for _ in range(self.frames - 1):
            where, velocity = advanced(where, velocity, side / 2, size)
            path.append(where)
        frames = drawn(shapes, np.stack(path, axis=1), side, size)
        return Clips(frames, None, np.zeros(frames.shape[:2], dtype=np.bool_))


def check_flight(side: float, slowest: float, fastest: float) -> None:
    """Refuse digits that do not fit or fly too fast.

    Raises:
        ValueError: saying which.
    """
    if not 0 < side <= 0.5:
        raise ValueError(f"side must lie in (0, 0.5], got {side}")
    if not 0 <= slowest <= fastest <= side:
        raise ValueError(
            f"speeds need 0 <= slowest <= fastest <= side, got {slowest} and {fastest}"
        )
