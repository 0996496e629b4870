"""What an expert is: a controller written by hand that knows how to do an environment's task."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argmind.config import PartConfig, from_dict
from argmind.data.order import row_seeds
from argmind.policy.environments.base import Environment, Floats, Info, Observation
from argmind.registry import find

#: Purpose of the draws, so that they are not those of the environment.
_EXPERT = 0xE47


class Expert:
    """Acts in one environment, which it may look into; registered under that environment's name.

    Built from its config, the environment and a generator for its own choices.
    """

    Config: ClassVar[type[PartConfig]]

    def __init__(
        self, config: PartConfig, environment: Environment, rng: np.random.Generator
    ) -> None:
        self.config, self.environment, self.rng = config, environment, rng

    def reset(self) -> None:
        """Begin an episode; called after the environment's own reset."""

    def act(self, observation: Observation, info: Info) -> Floats:
        """The action (A,) to take now, within the environment's bounds."""
        raise NotImplementedError


def expert_for(environment: Environment, seed: int, **settings: Any) -> Expert:
    """The expert of an environment; its choices are a pure function of the seed.

    Raises:
        UserError: the environment has no expert, or an unknown setting.
    """
    name = environment.name
    config = from_dict(find("expert", name).Config, settings, f"expert {name}")
    drawn = int(row_seeds(seed, _EXPERT, [0])[0])
    return config.build(environment, np.random.Generator(np.random.Philox(drawn)))
