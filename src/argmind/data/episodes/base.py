"""What an episode is, and where episodes come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.errors import UserError

Array = NDArray[Any]

#: Columns of a table beside the observations, whose names begin with :data:`OBSERVED`.
OBSERVED = "observation."
ACTION, REWARD, DONE, SUCCESS = "action", "next.reward", "next.done", "next.success"
EPISODE, FRAME, TIME, ROW, TASK = (
    *("episode_index", "frame_index", "timestamp"),
    *("index", "task_index"),
)
#: Files of a folder beside the tables.
INFO, EPISODES, TASKS = "meta/info.json", "meta/episodes.jsonl", "meta/tasks.jsonl"
#: Digests of the tables, by path; folders of others have none.
DIGESTS = "meta/digests.json"
TABLES = "data"


@dataclass(frozen=True, kw_only=True)
class Episode:
    """T steps: what was seen, what was done then, and what that brought."""

    observations: dict[str, Array]  # each (T, …): "state" float32, "image" uint8 (H, W, 3)
    actions: NDArray[np.float32]  # (T, A)
    rewards: NDArray[np.float32]  # (T,)
    success: bool
    score: float  # best of the episode, in [0, 1]
    seed: int  # of the environment; -1 where it is not known
    route: str = ""  # which of several ways was taken, where the environment tells

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What episodes were recorded in."""

    environment: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fps: float = 10.0  # steps in a second
    #: Bounds (A,) of an action; empty where they are not known.
    action_low: tuple[float, ...] = ()
    action_high: tuple[float, ...] = ()
    #: How they were made: seed, command, whatever may help.
    made: Mapping[str, Any] = field(default_factory=dict[str, Any])


def digest(content: bytes) -> str:
    """Of a table's bytes, 32 hex digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def require_sound(episode: Episode, origin: Origin, where: str) -> None:
    """Refuse an episode whose parts do not fit together or break the bounds of actions.

    Raises:
        UserError: naming the episode, the part and the step.
    """
    steps = len(episode.actions)
    if not steps:
        raise UserError(f"{where} has no steps: leave it out.")
    told = {"action": episode.actions, "rewards": episode.rewards, **episode.observations}
    for name, rows in told.items():
        if len(rows) != steps:
            raise UserError(
                f"{where} has {steps} actions and {len(rows)} of '{name}': every step needs one of "
                "each."
            )
        finite = np.isfinite(rows).reshape(steps, -1).all(axis=1)
        if not finite.all():
            raise UserError(
                f"{where} has '{name}' that is no finite number in {(~finite).sum()} steps, the "
                f"first of them step {np.argmin(finite)}: mend or leave out this episode."
            )
    if not origin.action_low:
        return
    if episode.actions.shape[1:] != (len(origin.action_low),):
        raise UserError(
            f"{where} has actions of {episode.actions.shape[1:]} numbers, and its origin says "
            f"{len(origin.action_low)}."
        )
    low = np.asarray(origin.action_low, dtype=np.float32)
    high = np.asarray(origin.action_high, dtype=np.float32)
    within = ((episode.actions >= low) & (episode.actions <= high)).all(axis=1)
    if not within.all():
        step = int(np.argmin(within))
        raise UserError(
            f"{where}: the action of step {step} is outside its bounds ({(~within).sum()} such "
            f"steps): {episode.actions[step].tolist()} is not within {list(origin.action_low)} … "
            f"{list(origin.action_high)}. Clip actions when recording, or correct the bounds in "
            f"{INFO}."
        )
