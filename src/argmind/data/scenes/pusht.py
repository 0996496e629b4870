"""Push-T: a round pusher, a T-shaped block, and what is done at every frame."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.base import digest_of, optional_module
from argmind.data.order import row_seeds
from argmind.data.scenes.base import Clips, Floats, Scene
from argmind.registry import register

#: Side of the table, in its own unit.
_TABLE = 512.0
#: Frames are rendered larger by this factor and averaged down.
_OVERSAMPLED = 4


@register("scene", "pusht")
class PushT(Scene):
    """Roll-outs of the Push-T table with the actions taken: a world to model (needs gym-pusht).

    A hand-written pusher heads for a target, most often the block, and picks a new one now and
    then. An action is where the pusher is told to go, as a place on the table in [-1, 1].
    Source: the environment of Diffusion Policy (arXiv 2303.04137), as packaged by gym-pusht.
    """

    channels = 3
    action_dim = 2
    stored = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        reach: float = 60.0  # how far ahead of the pusher it is told to go, of 512
        hold: int = 6  # frames until a new target
        at_block: float = 0.7  # share of targets that are the block

        def __post_init__(self) -> None:
            if self.reach <= 0 or self.hold < 1 or not 0 <= self.at_block <= 1:
                raise ValueError("reach must be above 0, hold at least 1, at_block within [0, 1]")

    def __init__(self, config: Config, image_size: int, frames: int) -> None:
        # Pygame greets and looks for a screen unless told not to.
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        package: Any = optional_module("gym_pusht.envs", "the scene 'pusht'", "policy")
        self.config, self.image_size, self.frames = config, image_size, frames
        side = _OVERSAMPLED * image_size
        self._world = package.PushTEnv(
            obs_type="pixels", observation_width=side, observation_height=side
        )

    @property
    def fingerprint(self) -> str:
        """Of the packages that move and draw the world."""
        packages = ("gym-pusht", "pymunk", "pygame")
        return digest_of("scene pusht", [importlib.metadata.version(name) for name in packages])

    def clips(self, seed: int, index: NDArray[np.int64], held_out: bool) -> Clips:
        """About 5 ms a frame; ``random`` nowhere: the actions are given."""
        seeds = row_seeds(seed, int(held_out), index)
        rolled = [self._rolled(int(one)) for one in seeds]
        frames = np.stack([frames for frames, _ in rolled])
        actions = np.stack([actions for _, actions in rolled])
        return Clips(frames, actions, np.zeros(frames.shape[:2], dtype=np.bool_))

    def _rolled(self, seed: int) -> tuple[Floats, Floats]:
        """Frames (T, 3, H, W) and actions (T, 2) of one roll-out."""
        random = np.random.Generator(np.random.Philox(seed))
        pixels, _ = self._world.reset(seed=seed % 2**31)
        frames, actions, target = [], [], np.zeros(2)
        for frame in range(self.frames):
            if frame % self.config.hold == 0:
                target = self._target(random)
            agent = np.asarray(self._world.agent.position)
            way = target - agent
            near = min(1.0, self.config.reach / max(float(np.linalg.norm(way)), 1e-6))
            told = np.clip(agent + near * way, 0, _TABLE)
            frames.append(self._averaged(pixels))
            actions.append(told * (2 / _TABLE) - 1)
            pixels, *_ = self._world.step(told)
        return np.stack(frames), np.stack(actions).astype(np.float32)

    def _target(self, random: np.random.Generator) -> NDArray[np.float64]:
        if random.random() < self.config.at_block:
            return np.asarray(self._world.block.position) + random.normal(0, 20, 2)
        return random.uniform(0.1 * _TABLE, 0.9 * _TABLE, 2)

    def _averaged(self, pixels: NDArray[np.uint8]) -> Floats:
        size = self.image_size
        blocks = pixels.reshape(size, _OVERSAMPLED, size, _OVERSAMPLED, 3).mean((1, 3))
        return (blocks.transpose(2, 0, 1) / 127.5 - 1).astype(np.float32)
