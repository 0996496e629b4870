"""Small episodes for tests of policies, of no environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.episodes import Episode


def episode(observations: dict[str, NDArray[Any]], actions: NDArray[Any]) -> Episode:
    """As much of an episode as is learnt from."""
    rewards = np.zeros(len(actions), np.float32)
    return Episode(
        observations=observations,
        actions=actions,
        rewards=rewards,
        success=True,
        score=1.0,
        seed=0,
    )


def recording(steps: int, number: int = 0, pictures: bool = False) -> Episode:
    """State and action of step t are told by ``number`` and t, so that windows can be checked."""
    time = np.arange(steps, dtype=np.float32)
    observations: dict[str, NDArray[Any]] = {
        "state": np.stack([np.full_like(time, number), time, -2 * time], axis=1)
    }
    if pictures:
        shades = (number * 40 + np.arange(steps)).astype(np.uint8)
        observations["image"] = np.broadcast_to(
            shades[:, None, None, None], (steps, 8, 10, 3)
        ).copy()
    return episode(observations, np.stack([1000 * number + time, time], axis=1))


def recordings(count: int = 6, pictures: bool = False) -> list[Episode]:
    """Of unequal lengths."""
    return [recording(10 + 3 * number, number, pictures) for number in range(count)]
