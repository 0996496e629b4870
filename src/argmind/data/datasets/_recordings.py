"""Episodes laid end to end, checked, and the places that windows of them start at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from argmind.data.episodes import Episode
from argmind.errors import UserError

Array = NDArray[Any]
Places = NDArray[np.int64]
#: Axes of one frame: numbers, or a picture (H, W, 3).
_KNOWN = {"state": 1, "image": 3}


class Windows(NamedTuple):
    """Where windows begin, and the first and the last row of their episodes, each (W,).

    A window may begin before its episode: what is there repeats the episode's first row.
    """

    start: Places
    first: Places
    last: Places

    def __len__(self) -> int:
        return len(self.start)

    def rows(self, chosen: Places, length: int) -> Places:
        """The rows (B, length) of the chosen windows, repeated at the ends of episodes."""
        start, first, last = (each[chosen, None] for each in self)
        return np.clip(start + np.arange(length), first, last)


@dataclass(frozen=True)
class Recordings:
    """All steps of all episodes, R rows in all."""

    observations: dict[str, Array]  # each (R, …)
    actions: NDArray[np.float32]  # (R, A)
    lengths: Places  # of the episodes

    @classmethod
    def of(cls, episodes: Sequence[Episode], source: str, least_steps: int) -> Recordings:
        """Check episodes and lay them end to end.

        Raises:
            UserError: there are fewer than two; one is shorter than ``least_steps``, is not of the
                first one's kind, or holds what is no finite number.
        """
        if len(episodes) < 2:
            raise UserError(
                f"{source} holds {len(episodes)} episodes, where at least 2 are needed: one to "
                "learn from, one held out. Make more with `argmind demos`."
            )
        _require_known(episodes[0], source)
        for number, episode in enumerate(episodes):
            where = f"episode {number} of {source}"
            _require_alike(episode, episodes[0], where)
            _require_finite(episode, where)
        lengths = np.array([len(episode.actions) for episode in episodes])
        _require_long(lengths, source, least_steps)
        observations = {
            name: np.concatenate([episode.observations[name] for episode in episodes])
            for name in episodes[0].observations
        }
        if "state" in observations:
            observations["state"] = observations["state"].astype(np.float32, copy=False)
        actions = np.concatenate([episode.actions for episode in episodes])
        return cls(observations, actions.astype(np.float32, copy=False), lengths)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when any number does."""
        hasher = hashlib.blake2b(digest_size=16)
        for name, rows in {**self.observations, "actions": self.actions}.items():
            hasher.update(f"{name} {rows.dtype} {rows.shape}".encode())
            hasher.update(np.ascontiguousarray(rows).data)
        hasher.update(self.lengths.tobytes())
        return hasher.hexdigest()

    def rows_of(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows (R,) belong to the chosen episodes (E,)."""
        return np.repeat(chosen, self.lengths)

    def windows(self, chosen: NDArray[np.bool_], lead: int, execute: int) -> Windows:
        """A window for every step of the chosen episodes that ``execute`` actions follow.

        It begins ``lead`` rows before that step.
        """
        counts = np.where(chosen, self.lengths - execute + 1, 0)
        ends = np.cumsum(self.lengths)
        first, last = (np.repeat(rows, counts) for rows in (ends - self.lengths, ends - 1))
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return Windows(first + place - lead, first, last)


# ---------------------------------------------------------------------- checks


def _require_known(episode: Episode, source: str) -> None:
    unknown = sorted(set(episode.observations) - set(_KNOWN))
    if unknown or not episode.observations:
        said = f"observes {_listed(unknown)}" if unknown else "observes nothing"
        raise UserError(
            f"{source} {said}, and policies know {_listed(_KNOWN)} only: put all numbers into "
            "'state' and the picture into 'image'."
        )


def _require_alike(episode: Episode, first: Episode, where: str) -> None:
    """Of the first one's observations, shapes and action width, and as long in all of them."""
    expected, found = set(first.observations), set(episode.observations)
    if expected != found:
        raise UserError(
            f"{where} observes {_listed(found)}, and those before it {_listed(expected)}."
        )
    if episode.actions.ndim != 2 or episode.actions.shape[1:] != first.actions.shape[1:]:
        raise UserError(
            f"{where} has actions of shape {episode.actions.shape}: (steps, "
            f"{first.actions.shape[-1]}) is needed, as in the first one."
        )
    for name, rows in episode.observations.items():
        size = first.observations[name].shape[1:]
        if rows.ndim != 1 + _KNOWN[name] or rows.shape[1:] != size:
            raise UserError(
                f"{where} has '{name}' of shape {rows.shape}: (steps, "
                f"{', '.join(map(str, size))}) is needed, as in the first one."
            )
        if len(rows) != len(episode.actions):
            raise UserError(
                f"{where} has {len(episode.actions)} actions and {len(rows)} of '{name}': every "
                "step needs one of each."
            )
        if name == "image" and (rows.dtype != np.uint8 or rows.shape[-1] != 3):
            raise UserError(
                f"{where} has pictures {rows.dtype} {rows.shape[1:]}: give them as uint8 (H, W, 3)."
            )


def _require_finite(episode: Episode, where: str) -> None:
    for name, rows in {"actions": episode.actions, **episode.observations}.items():
        if rows.dtype.kind not in "fiu":
            raise UserError(f"{where} has '{name}' of {rows.dtype}, which are no numbers.")
        wrong = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
        if len(wrong):
            raise UserError(
                f"{where} has '{name}' that are no finite numbers in {len(wrong)} steps, the first "
                f"of them step {wrong[0]}: mend or leave out this episode."
            )


def _require_long(lengths: Places, source: str, least_steps: int) -> None:
    short = np.flatnonzero(lengths < least_steps)
    if len(short):
        raise UserError(
            f"{len(short)} of the episodes of {source} are shorter than the {least_steps} steps "
            f"that data.execute carries out, the first of them episode {short[0]} with "
            f"{lengths[short[0]]}: leave them out, or set a smaller data.execute."
        )


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))
