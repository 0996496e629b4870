"""A point mass, a bar in its way, a goal behind it: two equally good ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argmind.policy.environments._canvas import AGENT, GOAL, TRAIL, WALL, Canvas
from argmind.policy.environments.base import Environment, EnvironmentConfig, Moment
from argmind.registry import register

Place = NDArray[np.float64]

#: Seconds of a step; force at full action; and what slows the mass down.
_STEP_S, _FORCE, _DRAG = 0.05, 4.0, 4.0
#: Beyond this the table ends.
_EDGE = 1.0
#: Half the bar's width and height, and the radius of the mass.
BAR = np.array([0.45, 0.06])
RADIUS = 0.06
#: Reached within this distance.
GOAL_RADIUS = 0.12
#: An upset mass is put this far away.
_SHOVE = 0.25


@register("environment", "point")
class Point(Environment):
    """A mass is pushed round a bar, left or right, to a goal; built in, needs numpy alone.

    ``v ← v + 4 (a − v) / 20, x ← x + v / 20`` on the table [-1, 1]². The mass starts in the
    middle below the bar, so that the average of the two ways runs into it; touching the bar ends
    the episode. State: position, velocity, goal, centre of the bar (2 each).
    """

    fps = 1 / _STEP_S
    state_size = 8
    action_low = np.full(2, -1, dtype=np.float32)
    action_high = np.full(2, 1, dtype=np.float32)

    @dataclass(frozen=True, kw_only=True)
    class Config(EnvironmentConfig):
        max_steps: int = 120
        spread: float = 0.15  # how far start, bar and goal lie from their middle places, at most

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 0 <= self.spread <= 0.15:
                raise ValueError(f"spread must be within [0, 0.15], got {self.spread}")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._spread = config.spread

    def begin(self, seed: int) -> Moment:
        """Draw start, bar and goal."""
        rng = np.random.Generator(np.random.Philox(seed))
        offsets = rng.uniform(-1, 1, (3, 2)) * self._spread
        self.place: Place = np.array([0.0, -0.75]) + offsets[0] * (0.3, 0.5)
        self.velocity: Place = np.zeros(2)
        self.bar: Place = offsets[1] * (0.3, 0.5)
        self.goal: Place = np.array([0.0, 0.75]) + offsets[2] * (2, 0.5)
        self._route, self._trail = "", [self.place]
        return self._moment()

    def advance(self, action: NDArray[np.float32]) -> Moment:
        """Push for one step."""
        self.velocity = self.velocity + (_FORCE * action - _DRAG * self.velocity) * _STEP_S
        moved = self.place + self.velocity * _STEP_S
        self.place = np.clip(moved, -_EDGE, _EDGE)
        self.velocity = np.where(moved == self.place, self.velocity, 0)
        self._trail.append(self.place)
        aside = self.place - self.bar
        if abs(aside[1]) <= BAR[1] + RADIUS:
            self._route = "left" if aside[0] < 0 else "right"
        return self._moment()

    def perturb(self, rng: np.random.Generator) -> None:
        """Put the mass elsewhere, a quarter of the table's half away, and stop it."""
        while True:
            way = rng.normal(size=2)
            place = self.place + _SHOVE * way / np.linalg.norm(way)
            if np.abs(place).max() <= _EDGE and not self._touches(place):
                self.place, self.velocity = place, np.zeros(2)
                return

    def picture(self, size: int) -> NDArray[np.uint8]:
        """The table from above."""
        return self._drawn(Canvas(size, (-_EDGE, -_EDGE), (_EDGE, _EDGE)))

    def drawing(self, size: int) -> NDArray[np.uint8]:
        """The same with the way so far."""
        canvas = Canvas(size, (-_EDGE, -_EDGE), (_EDGE, _EDGE))
        canvas.line(self._trail, 0.02, TRAIL)
        return self._drawn(canvas)

    def _drawn(self, canvas: Canvas) -> NDArray[np.uint8]:
        canvas.disc(self.goal, GOAL_RADIUS, GOAL)
        canvas.box(self.bar - BAR, self.bar + BAR, WALL)
        canvas.disc(self.place, RADIUS, AGENT)
        return canvas.pixels

    def _touches(self, place: Place) -> bool:
        nearest = np.clip(place, self.bar - BAR, self.bar + BAR)
        return bool(np.linalg.norm(place - nearest) < RADIUS)

    def _moment(self) -> Moment:
        crashed = self._touches(self.place)
        success = not crashed and bool(np.linalg.norm(self.place - self.goal) <= GOAL_RADIUS)
        state = np.concatenate([self.place, self.velocity, self.goal, self.bar])
        return Moment(
            state=state.astype(np.float32),
            success=success,
            reward=float(success),
            terminated=success or crashed,
            info={"route": self._route, "crashed": crashed},
        )
