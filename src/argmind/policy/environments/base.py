"""What an environment is: a world that starts from a seed and moves on with every action."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from argmind.config import PartConfig, from_dict
from argmind.data.base import optional_module
from argmind.errors import UserError
from argmind.registry import find

Floats = NDArray[np.float32]
#: "state" float32 (Ds,), and where pictures are asked for "image" uint8 (H, W, 3).
Observation = dict[str, NDArray[Any]]
#: "success": bool, "score": float in [0, 1], and what else the environment tells.
Info = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class EnvironmentConfig(PartConfig):
    """What all environments can be told."""

    pixels: bool = False  # observe pictures beside the state
    image_size: int = 96  # side of an observed picture
    max_steps: int = 300  # an episode is cut off after this many

    def __post_init__(self) -> None:
        if self.image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels, got {self.image_size}")
        if self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {self.max_steps}")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What an environment makes known of itself, at its beginning or after an action."""

    state: Floats  # (Ds,)
    success: bool
    #: In [0, 1]; None: 1 with success, 0 without.
    score: float | None = None
    reward: float = 0.0
    terminated: bool = False
    #: Further entries of the info.
    info: Info = field(default_factory=dict[str, Any])


class Environment:
    """A world in which an agent acts; built from its config.

    A new one supplies :meth:`begin`, :meth:`advance`, :meth:`picture` where it can be seen, and
    the attributes below; actions are checked, steps counted and pictures added here.
    """

    Config: ClassVar[type[EnvironmentConfig]]
    #: Steps in a second of the environment's own time.
    fps: ClassVar[float] = 10.0

    #: Bounds (A,) of an action.
    action_low: Floats
    action_high: Floats
    #: Numbers of the state.
    state_size: int

    def __init__(self, config: EnvironmentConfig) -> None:
        self.config = config
        self._steps = -1

    # -------------------------------------------------------------- what an environment supplies

    def begin(self, seed: int) -> Moment:
        """Start an episode: a pure function of the seed."""
        raise NotImplementedError

    def advance(self, action: Floats) -> Moment:
        """Do what an action (A,) within the bounds says, for one step."""
        raise NotImplementedError

    def picture(self, size: int) -> NDArray[np.uint8]:  # noqa: ARG002
        """What it looks like now, as it is observed: (size, size, 3)."""
        raise UserError(f"the environment '{self.name}' cannot be drawn.")

    def drawing(self, size: int) -> NDArray[np.uint8]:
        """The same for people, who may be shown more, such as the way so far."""
        return self.picture(size)

    def perturb(self, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Disturb the episode by hand, as by moving an object: the next step shows it.

        Raises:
            UserError: there is nothing here that could be moved.
        """
        raise UserError(f"the environment '{self.name}' has nothing that a hand could move.")

    def close(self) -> None:
        """Give back what it holds (windows, simulators)."""

    # -------------------------------------------------------------- what is asked of it

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return self.config.part_name

    @property
    def max_steps(self) -> int:
        """Steps after which an episode is cut off."""
        return self.config.max_steps

    @property
    def observation_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every part of an observation; of a picture as (3, H, W)."""
        shapes: dict[str, tuple[int, ...]] = {"state": (self.state_size,)}
        if self.config.pixels:
            shapes["image"] = (3, self.config.image_size, self.config.image_size)
        return shapes

    def reset(self, seed: int) -> tuple[Observation, Info]:
        """Start the episode of this seed."""
        if seed < 0:
            raise UserError(f"{self.name}: the seed of an episode must be at least 0, got {seed}.")
        moment = self.begin(int(seed))
        self._steps = 0
        return self._observed(moment), _info(moment)

    def step(self, action: ArrayLike) -> tuple[Observation, float, bool, bool, Info]:
        """Act once: (observation, reward, terminated, truncated, info).

        Numbers beyond their bounds are moved to them.

        Raises:
            UserError: the action has the wrong shape or is not finite; there was no reset.
        """
        if self._steps < 0:
            raise UserError(f"{self.name}: call reset(seed) before step(action).")
        moment = self.advance(self._checked(action))
        self._steps += 1
        truncated = not moment.terminated and self._steps >= self.max_steps
        return self._observed(moment), moment.reward, moment.terminated, truncated, _info(moment)

    def render(self, size: int = 256) -> NDArray[np.uint8]:
        """A drawing (size, size, 3) of the present moment."""
        if self._steps < 0:
            raise UserError(f"{self.name}: call reset(seed) before render().")
        return self.drawing(size)

    def _checked(self, action: ArrayLike) -> Floats:
        given = np.asarray(action, dtype=np.float32)
        if given.shape != self.action_low.shape:
            raise UserError(
                f"{self.name}: an action has shape {self.action_low.shape}, got {given.shape}."
            )
        if not np.isfinite(given).all():
            raise UserError(f"{self.name}: an action must be finite, got {given.tolist()}.")
        return np.clip(given, self.action_low, self.action_high)

    def _observed(self, moment: Moment) -> Observation:
        observation: Observation = {"state": np.asarray(moment.state, dtype=np.float32)}
        if self.config.pixels:
            observation["image"] = self.picture(self.config.image_size)
        return observation


def make(name: str, **settings: Any) -> Environment:
    """The environment of this name, with settings of its config.

    Raises:
        UserError: an unknown name or setting; packages that it needs are absent.
    """
    return environment_config(name, settings).build()


def environment_config(name: str, settings: Mapping[str, Any]) -> EnvironmentConfig:
    """The config of an environment, read strictly."""
    return from_dict(find("environment", name).Config, settings, f"environment {name}")


def policy_module(name: str, purpose: str) -> ModuleType:
    """A package of the extra ``policy``; nothing opens a window.

    Raises:
        UserError: it is not installed.
    """
    # Both look for a screen, and one of them greets, unless told not to.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("MUJOCO_GL", "disable")
    with redirect_stderr(io.StringIO()):  # notices about other environments of a package
        return optional_module(name, purpose, "policy")


def _info(moment: Moment) -> Info:
    score = float(moment.success) if moment.score is None else float(moment.score)
    return {"success": bool(moment.success), "score": score, **moment.info}
