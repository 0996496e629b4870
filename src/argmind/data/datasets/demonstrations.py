"""Demonstrations cut into chunks: what was seen, and the actions that followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.base import Batch, Progress, digest_of
from argmind.data.datasets._recordings import Recordings, Windows
from argmind.data.episodes import Episode, read_episodes, read_origin, save_origin
from argmind.data.normaliser import Kind, Normaliser, picture_code
from argmind.data.order import epoch_order, sample_at
from argmind.registry import register

#: Which episodes are held out, and their order, does not depend on the run's seed.
_FIXED_SEED = 0


@register("dataset", "demonstrations")
class DemonstrationData:
    """Chunks of demonstrated actions in a shuffled order; whole episodes are held out.

    A sample is ``frames`` observations and ``chunk`` actions, the first of which belongs to the
    oldest frame: of a chunk the actions [frames − 1, frames − 1 + execute) are carried out. At the
    ends of an episode frames and actions are repeated, those that are carried out never.
    Source: Chi et al. 2023 (Diffusion Policy).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        source: str = "demos"  # folder of episodes, such as `argmind demos` writes
        frames: int = 2  # observations that the model sees
        chunk: int = 16  # actions that it tells
        execute: int = 8  # of which so many are carried out
        normaliser: Kind = "min_max"
        eval_fraction: float = 0.02  # of the episodes is held out, one at least
        limit: int | None = None  # use no more episodes than this

        def __post_init__(self) -> None:
            for name in ("frames", "chunk", "execute"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
            if self.frames - 1 + self.execute > self.chunk:
                raise ValueError(
                    f"a chunk of {self.chunk} actions, the first of which belongs to the oldest of "
                    f"{self.frames} frames, has no {self.execute} to execute: at most "
                    f"{self.chunk - self.frames + 1}"
                )
            if not 0 < self.eval_fraction < 1:
                raise ValueError(
                    f"eval_fraction must lie between 0 and 1, got {self.eval_fraction}"
                )
            if self.limit is not None and self.limit < 2:
                raise ValueError(f"limit must be at least 2, got {self.limit}")

    def __init__(
        self,
        config: Config,
        *,
        seed: int,
        given: Sequence[Episode] | None = None,
        cache_dir: Path | None = None,  # noqa: ARG002
        progress: Progress | None = None,  # noqa: ARG002
    ) -> None:
        """Read the episodes.

        Args:
            given: episodes from Python, in place of ``config.source``.

        Raises:
            UserError: episodes that cannot be used, or fewer than two.
        """
        self.config, self.seed = config, seed
        episodes = read_episodes(config.source) if given is None else given
        self._origin = read_origin(config.source) if given is None else None
        source = config.source if given is None else "what was given"
        recordings = Recordings.of(episodes[: config.limit], source, config.execute)
        held_out = _held_out(len(recordings.lengths), config.eval_fraction)
        lead = config.frames - 1
        self._recordings = recordings
        self._training = recordings.windows(~held_out, lead, config.execute)
        self._evaluation = recordings.windows(held_out, lead, config.execute)
        learnt = recordings.rows_of(~held_out)
        vectors = {"actions": recordings.actions[learnt]}
        if "state" in recordings.observations:
            vectors["state"] = recordings.observations["state"][learnt]
        #: Of actions and states, fitted on what is trained on.
        self.normaliser = Normaliser.fit(config.normaliser, vectors)

    @property
    def fingerprint(self) -> str:
        """Changes when an episode, the split, the windows or their scale do."""
        return digest_of(self._recordings.fingerprint, repr(replace(self.config, source="")))

    @property
    def samples_per_epoch(self) -> int:
        """Training windows."""
        return len(self._training)

    @property
    def evaluation_samples(self) -> int:
        """Held-out windows."""
        return len(self._evaluation)

    @property
    def model_inputs(self) -> dict[str, Any]:
        """What a predictor must know of the data to be built; images are (3, H, W)."""
        shapes = {name: rows.shape[1:] for name, rows in self._recordings.observations.items()}
        if "image" in shapes:
            shapes["image"] = (shapes["image"][-1], *shapes["image"][:-1])
        return {
            "action_size": self._recordings.actions.shape[1],
            "chunk": self.config.chunk,
            "frames": self.config.frames,
            "observations": shapes,
        }

    def batch(self, first: int, count: int) -> Batch:
        """``state`` (B, F, Ds), ``image`` (B, F, 3, H, W) in [-1, 1], ``actions`` (B, T, A).

        State and actions are normalised; of state and image there is what was recorded.
        """
        places = np.arange(first, first + count)
        return self._take(self._training, sample_at(self.seed, places, len(self._training)))

    def evaluation(self, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out windows in a fixed shuffled order, at most ``limit`` of them."""
        total = len(self._evaluation)
        count = total if limit is None else min(limit, total)
        order = epoch_order(_FIXED_SEED, 0, total)[:count]
        for first in range(0, count, batch_size):
            yield self._take(self._evaluation, order[first : first + batch_size])

    def save_assets(self, folder: Path) -> None:
        """The normaliser, without which actions mean nothing, and where they were recorded."""
        self.normaliser.save_assets(folder)
        if self._origin is not None:
            save_origin(folder, self._origin)

    def _take(self, windows: Windows, chosen: NDArray[np.int64]) -> Batch:
        frames = windows.rows(chosen, self.config.frames)
        actions = self._recordings.actions[windows.rows(chosen, self.config.chunk)]
        batch = {"actions": torch.from_numpy(self.normaliser.encode("actions", actions))}
        for name, rows in self._recordings.observations.items():
            seen = rows[frames]
            if name == "image":
                batch[name] = picture_code(seen)
            else:
                batch[name] = torch.from_numpy(self.normaliser.encode(name, seen))
        return batch


def _held_out(count: int, fraction: float) -> NDArray[np.bool_]:
    """Which of so many episodes are held out, spread over them as by chance."""
    wanted = min(count - 1, max(1, round(count * fraction)))
    held_out = np.zeros(count, dtype=np.bool_)
    held_out[epoch_order(_FIXED_SEED, 0, count)[:wanted]] = True
    return held_out
