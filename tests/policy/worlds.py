"""Every environment that can be made here, with settings that keep it quick."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from argmind.policy.environments import Environment, make
from argmind.policy.environments.base import Observation
from argmind.policy.experts import expert_for

NEEDS = {"metaworld": "metaworld", "pointmaze": "gymnasium_robotics", "pusht": "gym_pusht"}
WORLDS: dict[str, dict[str, Any]] = {"point": {}, "pointmaze": {}, "metaworld": {"task": "push-v3"}}


def there(name: str) -> bool:
    """Are the packages that an environment needs installed?"""
    package = NEEDS.get(name)
    return package is None or importlib.util.find_spec(package) is not None


def absent(name: str) -> pytest.MarkDecorator:
    """Skips a test where they are not."""
    return pytest.mark.skipif(not there(name), reason=f"needs {NEEDS.get(name)} (extra policy)")


def worlds(*names: str) -> pytest.MarkDecorator:
    """A test for each of these environments, or for all."""
    cases = [pytest.param(name, marks=absent(name)) for name in names or WORLDS]
    return pytest.mark.parametrize("name", cases)


def opened(name: str, **settings: Any) -> Environment:
    """An environment with its quick settings."""
    return make(name, **{**WORLDS[name], **settings})


def played(
    world: Environment,
    seed: int,
    steps: int = 500,
    act: Callable[[Observation], Any] | None = None,
    **expert: Any,
) -> tuple[np.ndarray, dict[str, Any]]:
    """States (T + 1, Ds) of an episode, and its last info; the expert acts unless ``act`` does."""
    seen, info = world.reset(seed)
    script = expert_for(world, seed, **expert)
    script.reset()
    states = [seen["state"]]
    for _ in range(steps):
        action = script.act(seen, info) if act is None else act(seen)
        seen, _, terminated, truncated, info = world.step(action)
        states.append(seen["state"])
        if terminated or truncated:
            break
    return np.stack(states), info
