"""Round the bar, left or right as a coin says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from argmind.config import PartConfig
from argmind.policy.environments.base import Floats, Info, Observation
from argmind.policy.environments.point import BAR
from argmind.policy.experts._waypoints import Waypoints, noisy
from argmind.policy.experts.base import Expert
from argmind.registry import register

#: Distance kept from the bar's end.
_CLEAR = 0.22


@register("expert", "point")
class PointExpert(Expert):
    """Steers past an end of the bar to the goal; both ends are equally likely, whatever it sees."""

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
        place, velocity, goal, bar = observation["state"].astype(np.float64).reshape(4, 2)
        if self._way is None:
            aside = self._side * (BAR[0] + _CLEAR)
            end = bar + np.array([aside, 0.0])
            ways = [end - np.array([0.0, 0.05]), end + np.array([0.0, 0.12]), goal]
            self._way = Waypoints(ways, gain=6, damping=0.5, near=0.1)
        return noisy(self._way.action(place, velocity), self.config.noise_std, self.rng)
