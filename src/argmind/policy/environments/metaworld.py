"""Meta-World: a robot arm at a table, fifty tasks with scripted experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from argmind.errors import UserError, unknown
from argmind.policy.environments._camera import Camera
from argmind.policy.environments._canvas import AGENT, GOAL, PAPER, TRAIL, WALL, Canvas
from argmind.policy.environments.base import Environment, EnvironmentConfig, Moment, policy_module
from argmind.registry import register

#: Cameras of the package that hang upside down.
_UPSIDE_DOWN = ("corner", "corner2", "corner3")
#: Where things are in a state: the hand, its opening, the object, a second one, the goal.
_HAND, _OBJECT, _SECOND, _TARGET = slice(0, 3), slice(4, 7), slice(11, 14), slice(36, 39)
#: Shapes of the two fingers.
_PADS = ("leftpad_geom", "rightpad_geom")
#: A moved object is let go so far beside and above where it began, in metres.
_SHOVE, _DROP = 0.05, 0.005


@register("environment", "metaworld")
class MetaWorld(Environment):
    """A task of Meta-World v3 with its goal in sight (needs the extra ``policy``).

    The seed draws places of object and goal, anew in every episode. Success ends an episode.
    An action moves the hand (3, up to 1 cm each) and closes it (1); a step is 12.5 ms. State (39):
    hand, opening, two objects with rotations, the same one step ago, goal. Source: McLean et al.
    2025 (arXiv 2505.11289).
    """

    fps = 80.0
    state_size = 39
    action_low = np.full(4, -1, dtype=np.float32)
    action_high = np.full(4, 1, dtype=np.float32)

    @dataclass(frozen=True, kw_only=True)
    class Config(EnvironmentConfig):
        task: str = "push-v3"
        max_steps: int = 500
        #: What pictures show: what a camera sees, or a plain sketch that needs no OpenGL.
        view: Literal["camera", "sketch"] = "camera"
        camera: Literal["topview", "corner", "corner2", "corner3"] = "corner2"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._view, self._camera_name = config.view, config.camera
        package: Any = policy_module("metaworld.env_dict", "the environment 'metaworld'")
        tasks: dict[str, Any] = package.ALL_V3_ENVIRONMENTS
        if config.task not in tasks:
            raise unknown("task of metaworld", config.task, tasks)
        world = self._world = tasks[config.task]()
        world.max_path_length = config.max_steps + 1  # it raises when asked for more
        # What the package's own benchmarks set through tasks: goals seen, places drawn by seed.
        world._set_task_called = True
        world._partially_observable = False
        world._freeze_rand_vec = False
        world.seeded_rand_vec = True
        world.__dict__.pop("sawyer_observation_space", None)
        world.touching_object = self._touching
        self._cameras: dict[int, Camera] = {}

    @property
    def task(self) -> str:
        """Name of the task, such as ``push-v3``."""
        assert isinstance(self.config, MetaWorld.Config)
        return self.config.task

    def begin(self, seed: int) -> Moment:
        """Put object and goal where the seed says."""
        self._world.seed(seed)
        self._state, _ = self._world.reset()
        self._object = self._free_object()
        self._start = None if self._object is None else self._places(self._object)[:3].copy()
        return self._moment(0.0, False)

    def advance(self, action: NDArray[np.float32]) -> Moment:
        """Move and grip for one step."""
        self._state, reward, _, _, facts = self._world.step(action)
        return self._moment(float(reward), bool(facts["success"]))

    def perturb(self, rng: np.random.Generator) -> None:
        """Put the object on the table 5 cm beside where it began, and let it go."""
        if self._object is None or self._start is None:
            raise UserError(f"metaworld: in {self.task} there is no object that a hand could move.")
        angle = rng.uniform(0, 2 * np.pi)
        moved = np.array([_SHOVE * np.cos(angle), _SHOVE * np.sin(angle), _DROP])
        self._places(self._object)[:3] = self._start + moved
        first = self._world.model.jnt_dofadr[self._object]
        speeds = self._world.data.qvel.copy()
        speeds[first : first + 6] = 0
        self._world.set_state(self._world.data.qpos.copy(), speeds)

    def picture(self, size: int) -> NDArray[np.uint8]:
        """What the camera sees, or a sketch: above from above, below from the front."""
        if self._view == "sketch":
            return self._sketch(size)
        if size not in self._cameras:
            self._cameras[size] = Camera(self._world.model, size, self._camera_name)
        pixels = self._cameras[size].picture(self._world.data)
        upright = pixels[::-1, ::-1] if self._camera_name in _UPSIDE_DOWN else pixels
        return np.ascontiguousarray(upright)

    def close(self) -> None:
        """Let go of simulation and cameras."""
        for camera in self._cameras.values():
            camera.close()
        self._cameras.clear()
        self._world.close()

    def _touching(self, shape: int) -> bool:
        """Do both fingers press on a shape? The package's own, which takes half of a step, faster.

        It goes over the contacts one by one, as Python objects, and twice.
        """
        data = self._world.data
        pairs, address = data.contact.geom, data.contact.efc_address
        on_shape = (pairs == shape).any(1)
        presses = (
            data.efc_force[address[on_shape & (pairs == data.geom(pad).id).any(1)]].sum() > 0
            for pad in _PADS
        )
        return all(presses)

    def _free_object(self) -> int | None:
        """Number of the first joint that lets a body go anywhere."""
        free = np.flatnonzero(self._world.model.jnt_type == 0)
        return int(free[0]) if len(free) else None

    def _places(self, joint: int) -> NDArray[np.float64]:
        """Position and rotation (7,) of a free body, as the simulation holds them."""
        first = self._world.model.jnt_qposadr[joint]
        return self._world.data.qpos[first : first + 7]

    def _sketch(self, size: int) -> NDArray[np.uint8]:
        canvas = Canvas(size, (-0.55, -0.05), (0.55, 1.05))
        canvas.box((-0.55, 0.5), (0.55, 0.51), WALL)
        hand, opening = self._state[_HAND], float(self._state[3])
        marks = [(self._state[_TARGET], 0.03, GOAL), (self._state[_OBJECT], 0.025, WALL)]
        if self._state[_SECOND].any():
            marks.append((self._state[_SECOND], 0.02, TRAIL))
        for axis, shift in ((1, 0.05), (2, 0.0)):  # y in [0.4, 1] above, z in [0, 0.5] below
            for place, radius, colour in marks:
                canvas.disc((place[0], place[axis] + shift), radius, colour)
            middle = (hand[0], hand[axis] + shift)
            canvas.ring(middle, 0.02 + 0.02 * opening, 0.012, AGENT)
            canvas.disc(middle, 0.006, PAPER)
        return canvas.pixels

    def _moment(self, reward: float, success: bool) -> Moment:
        state = self._state.astype(np.float32)
        return Moment(state=state, success=success, reward=reward, terminated=success)
