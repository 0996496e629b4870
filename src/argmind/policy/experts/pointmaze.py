"""Round the block of the maze, left or right as a coin says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from argmind.config import PartConfig
from argmind.policy.environments.base import Floats, Info, Observation
from argmind.policy.environments.pointmaze import LANE, LANE_FROM, LANE_TO
from argmind.policy.experts._waypoints import Waypoints, noisy
from argmind.policy.experts.base import Expert
from argmind.registry import register


@register("expert", "pointmaze")
class PointMazeExpert(Expert):
    """Steers through two corners, mirrored for half the episodes, to the goal."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        noise_std: float = 0.1  # of every action

    def __init__(self, config: Config, environment: object, rng: np.random.Generator) -> None:
        self.config, self.environment, self.rng = config, environment, rng
        self.reset()

    def reset(self) -> None:
        """Toss the coin."""
        self._side = -1.0 if self.rng.random() < 0.5 else 1.0
        self._way: Waypoints | None = None

    def act(self, observation: Observation, info: Info) -> Floats:  # noqa: ARG002
        """Towards the next waypoint."""
        place, velocity, goal = observation["state"].astype(np.float64).reshape(3, 2)
        if self._way is None:
            lane = self._side * LANE
            corners = [np.array([lane, LANE_FROM]), np.array([lane, LANE_TO]), goal]
            self._way = Waypoints(corners, gain=4, damping=1, near=0.35)
        return noisy(self._way.action(place, velocity), self.config.noise_std, self.rng)
