"""Reasoning problems in an endless order, and fixed held-out sets from easy to hard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argmind.config import PartConfig, part
from argmind.data.base import Batch, Progress, digest_of
from argmind.data.order import sample_at
from argmind.data.reasoning.base import Problems, Samples
from argmind.errors import unknown
from argmind.registry import register


@register("dataset", "reasoning")
class ReasoningData:
    """Generated problems; every one is a pure function of the settings and its number.

    A batch is ``{"given", "target", "known", "places", "difficulty"}``, see
    :mod:`argmind.data.reasoning.base`. The training stream depends on the run's seed, the held-out
    sets do not.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        problem: PartConfig = part("problem", "sudoku")
        #: Held-out problems of each split.
        eval_samples: int = 1_000

        def __post_init__(self) -> None:
            if self.eval_samples < 1:
                raise ValueError(f"eval_samples must be at least 1, got {self.eval_samples}")

    def __init__(
        self,
        config: Config,
        *,
        seed: int,
        cache_dir: Path | None = None,
        texts: None = None,  # noqa: ARG002
        progress: Progress | None = None,  # noqa: ARG002
    ) -> None:
        """Open the problems; those that take long to make are made now, or found in the cache.

        Raises:
            UserError: a file of problems that cannot be used.
        """
        self.config, self.seed = config, seed
        self.problems: Problems = config.problem.build(cache_dir)

    @property
    def fingerprint(self) -> str:
        """Changes when the problems do."""
        return digest_of(self.problems.fingerprint, self.config.eval_samples)

    @property
    def samples_per_epoch(self) -> int:
        """Training problems before the order starts over; each time they are drawn anew."""
        return self.problems.epoch_samples

    @property
    def model_inputs(self) -> dict[str, Any]:
        """What a predictor must know of the problems to be built."""
        return self.problems.inputs

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the held-out sets; the first is in distribution."""
        return self.problems.splits

    def batch(self, first: int, count: int) -> Batch:
        """Training problems [first, first + count) of the endless order."""
        positions = np.arange(first, first + count)
        size = self.samples_per_epoch
        number = positions // size * size + sample_at(self.seed, positions, size)
        return _tensors(self.problems.sample("train", number, self.seed))

    def evaluation(
        self, batch_size: int, limit: int | None = None, split: str | None = None
    ) -> Iterator[Batch]:
        """The held-out problems of a split (default: the first) in order.

        Raises:
            UserError: no such split.
        """
        split = self.splits[0] if split is None else split
        if split not in self.splits:
            raise unknown("split", split, self.splits)
        bounds = (self.config.eval_samples, self.problems.available(split), limit)
        count = min(bound for bound in bounds if bound is not None)
        return self._evaluation(split, batch_size, count)

    def _evaluation(self, split: str, batch_size: int, count: int) -> Iterator[Batch]:
        for first in range(0, count, batch_size):
            number = np.arange(first, min(first + batch_size, count))
            yield _tensors(self.problems.sample(split, number, seed=0))

    def save_assets(self, folder: Path) -> None:
        """Nothing: the recipe says it all."""


def _tensors(samples: Samples) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(rows)) for name, rows in samples.items()}
