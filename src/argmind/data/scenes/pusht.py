"""Push-T: a round pusher, a T-shaped block, and what is done at every frame."""

from __future__ import annotations

import importlib.metadata
import math
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
#: Of the pusher.
_RADIUS = 15.0
#: Frames are drawn larger by this factor and averaged down.
_OVERSAMPLED = 8
#: The empty table is 0 in all channels, so that what a model sees of a frame is what lies there.
_EMPTY = (128, 128, 128)
_PUSHER, _BLOCK, _GOAL = (255, 0, 0), (0, 255, 0), (0, 0, 255)
#: Goes up with every change to the clips that config and packages do not tell of.
_VERSION = 2


@register("scene", "pusht")
class PushT(Scene):
    """Roll-outs of the Push-T table with the actions taken: a world to model (needs gym-pusht).

    A hand-written pusher heads for a target, most often the block, and picks a new one now and
    then. An action is where the pusher is told to go, as a place on the table in [-1, 1]. Chance
    comes in where a model is not told, or where the pusher's hand shakes.
    Source: the environment of Diffusion Policy (arXiv 2303.04137), as packaged by gym-pusht.
    """

    channels = 3
    stored = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        reach: float = 100.0  # how far ahead of the pusher it is told to go, of 512
        hold: int = 3  # frames until a new target
        at_block: float = 0.7  # share of targets that are the block
        steps: int = 2  # of 0.1 s that an action lasts
        told: bool = True  # do clips come with the actions?
        #: How far, of 512, the pusher goes astray in either direction, one standard deviation, on
        #: the right half of the table.
        shake: float = 0.0

        def __post_init__(self) -> None:
            if self.reach <= 0 or not 0 <= self.at_block <= 1:
                raise ValueError("reach must be above 0 and at_block within [0, 1]")
            if self.hold < 1 or self.steps < 1:
                raise ValueError("hold and steps must be at least 1")
            if not 0 <= self.shake < math.inf:
                raise ValueError(f"shake must be at least 0 and finite, got {self.shake}")

    def __init__(self, config: Config, image_size: int, frames: int) -> None:
        # Pygame greets and looks for a screen unless told not to.
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        package: Any = optional_module("gym_pusht.envs", "the scene 'pusht'", "policy")
        self._pygame: Any = optional_module("pygame", "the scene 'pusht'", "policy")
        self.config, self.image_size, self.frames = config, image_size, frames
        self.action_dim = 2 if config.told else 0
        self._world = package.PushTEnv(obs_type="state")

    @property
    def fingerprint(self) -> str:
        """Of the packages that move and draw the world."""
        packages = ("gym-pusht", "pymunk", "pygame")
        versions = [importlib.metadata.version(name) for name in packages]
        return digest_of("scene pusht", _VERSION, versions)

    def clips(self, seed: int, index: NDArray[np.int64], held_out: bool) -> Clips:
        """About 1 ms a frame.

        ``random``: the pusher shakes; or it picks a new target, and a model is not told. What is
        told changes no frame.
        """
        rolled = [self._rolled(int(one)) for one in row_seeds(seed, int(held_out), index)]
        frames, actions, random = (np.stack(each) for each in zip(*rolled, strict=True))
        return Clips(frames, actions if self.config.told else None, random)

    def _rolled(self, seed: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Frames (T, 3, H, W), actions (T, 2) and what is random (T,) of one roll-out."""
        config, draws = self.config, np.random.Generator(np.random.Philox(seed))
        self._world.reset(seed=seed % 2**31)
        frames, actions, random, target = [], [], [], np.zeros(2)
        for frame in range(self.frames):
            new = frame % config.hold == 0
            if new:
                target = self._target(draws)
            agent = np.asarray(self._world.agent.position)
            way = target - agent
            near = min(1.0, config.reach / max(float(np.linalg.norm(way)), 1e-6))
            action = np.clip(agent + near * way, 0, _TABLE)
            shaky = config.shake > 0 and agent[0] > _TABLE / 2
            frames.append(self._seen())
            actions.append(action * (2 / _TABLE) - 1)
            random.append(shaky or (new and not config.told))
            astray = draws.normal(0, config.shake, 2) if shaky else 0.0
            for _ in range(config.steps):
                self._world.step(np.clip(action + astray, 0, _TABLE))
        return np.stack(frames), np.stack(actions).astype(np.float32), np.array(random)

    def _target(self, draws: np.random.Generator) -> NDArray[np.float64]:
        if draws.random() < self.config.at_block:
            return np.asarray(self._world.block.position) + draws.normal(0, 20, 2)
        return draws.uniform(0.1 * _TABLE, 0.9 * _TABLE, 2)

    def _seen(self) -> Floats:
        """The table from above; pixels are means over the area that they show."""
        world, draw = self._world, self._pygame.draw
        side = _OVERSAMPLED * self.image_size
        scale = side / _TABLE
        canvas = self._pygame.Surface((side, side))
        canvas.fill(_EMPTY)
        goal = world.get_goal_pose_body(world.goal_pose)
        for body, colour in ((goal, _GOAL), (world.block, _BLOCK)):
            for shape in world.block.shapes:
                corners = [body.local_to_world(corner) * scale for corner in shape.get_vertices()]
                draw.polygon(canvas, colour, corners)
        draw.circle(canvas, _PUSHER, world.agent.position * scale, _RADIUS * scale)
        small = self._pygame.transform.smoothscale(canvas, (self.image_size, self.image_size))
        pixels = self._pygame.surfarray.array3d(small)  # (W, H, 3)
        return (pixels.transpose(2, 1, 0) / 127.5 - 1).astype(np.float32)
