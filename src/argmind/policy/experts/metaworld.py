"""The scripted experts that ship with Meta-World."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from argmind.config import PartConfig
from argmind.policy.environments.base import Floats, Info, Observation, policy_module
from argmind.policy.environments.metaworld import MetaWorld
from argmind.policy.experts._waypoints import noisy
from argmind.policy.experts.base import Expert
from argmind.registry import register


@register("expert", "metaworld")
class MetaWorldExpert(Expert):
    """The package's script for the task, kept within the bounds of actions."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        noise_std: float = 0.0  # of every action

    def __init__(self, config: Config, environment: MetaWorld, rng: np.random.Generator) -> None:
        self.config, self.environment, self.rng = config, environment, rng
        package: Any = policy_module("metaworld.policies", "the expert of 'metaworld'")
        self._script = package.ENV_POLICY_MAP[environment.task]()

    def act(self, observation: Observation, info: Info) -> Floats:  # noqa: ARG002
        """What the script does now."""
        with warnings.catch_warnings():  # that it asks for more than an action can be
            warnings.simplefilter("ignore")
            wanted = self._script.get_action(observation["state"].astype(np.float64))
        return noisy(np.clip(wanted, -1, 1), self.config.noise_std, self.rng)
