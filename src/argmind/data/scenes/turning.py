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
from argmind.errors import UserError
from argmind.registry import register


@register("scene", "turning")
class TurningDigit(Scene):
    """One digit that, at a known frame, turns left or right by a right angle, each half the time.

    Frame ``turn_at`` is the last one that all futures share.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        turn_at: int = 7  # the frame, counted from 0, after which it has turned
        side: float = 0.35
        slowest: float = 0.04
        fastest: float = 0.08

        def __post_init__(self) -> None:
            if self.turn_at < 0:
                raise ValueError(f"turn_at must be at least 0, got {self.turn_at}")
            check_flight(self.side, self.slowest, self.fastest)

    def __init__(self, config: Config, image_size: int, frames: int) -> None:
        if config.turn_at > frames - 2:
            raise UserError(
                f"the digit turns after frame {config.turn_at}, and clips have {frames} frames: "
                f"set data.scene.turn_at to {frames - 2} or less, or data.frames to "
                f"{config.turn_at + 2} or more."
            )
        self.config, self.image_size, self.frames = config, image_size, frames

    @property
    def fingerprint(self) -> str:
        """Of the digits."""
        return digest_of("scene turning", DigitsSource().fingerprint)

    def clips(self, seed: int, index: NDArray[np.int64], held_out: bool) -> Clips:
        """``random`` at frame ``turn_at`` alone."""
        config, size = self.config, self.image_size
        draws = RowDraws(seed, int(held_out), index)
        side = config.side * size
        shapes = sprites(draws, 1, held_out)
        where = places(draws, 1, side / 2, size)
        velocity = velocities(draws, 1, config.slowest * size, config.fastest * size)
        right = draws.uniform(1).numpy() < 0.5
        path = [where]
        for frame in range(self.frames - 1):
            if frame == config.turn_at:
                velocity = _turned(velocity, right)
            where, velocity = advanced(where, velocity, side / 2, size)
            path.append(where)
        random = np.zeros((len(index), self.frames), dtype=np.bool_)
        random[:, config.turn_at] = True
        return Clips(drawn(shapes, np.stack(path, axis=1), side, size), None, random)


def _turned(velocity: Floats, right: NDArray[np.bool_]) -> Floats:
    """Velocities (B, N, 2) as (down, right), a quarter turn to the right or left on."""
    sign = np.where(right, 1, -1).astype(np.float32)
    return np.stack([sign * velocity[..., 1], -sign * velocity[..., 0]], axis=-1)
