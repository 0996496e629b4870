"""Observations made worse on their way to a policy, to see whether it notices."""

from __future__ import annotations

import numpy as np

from argmind.errors import UserError
from argmind.policy.environments.base import Observation
from argmind.policy.policy import Policy
from argmind.policy.rollout import Corrupt


def camera_noise(std: float) -> Corrupt:
    """Normal noise on the pixels of a picture, of this std where they span [0, 1].

    Raises:
        UserError: a negative std.
    """
    _require_std(std)

    def corrupt(observation: Observation, rng: np.random.Generator) -> Observation:
        image = observation["image"]
        noisy = image + 255 * std * rng.standard_normal(image.shape)
        return {**observation, "image": noisy.round().clip(0, 255).astype(np.uint8)}

    return corrupt


def state_noise(policy: Policy, std: float) -> Corrupt:
    """Normal noise on the state, of this std in the policy's normalised units.

    Raises:
        UserError: a negative std.
    """
    _require_std(std)
    normaliser = policy.normaliser

    def corrupt(observation: Observation, rng: np.random.Generator) -> Observation:
        state = normaliser.encode("state", observation["state"])
        noisy = state + std * rng.standard_normal(state.shape)
        seen = normaliser.decode("state", noisy.astype(np.float32))
        return {**observation, "state": np.asarray(seen, np.float32)}

    return corrupt


def _require_std(std: float) -> None:
    if not 0 <= std < float("inf"):
        raise UserError(f"noise has a std of at least 0, got {std}.")
