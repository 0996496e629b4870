"""Thinking that stops by itself: what it saves, what it costs, and what it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.eval.problems import Solved
from argmind.eval.statistics import bootstrap, bootstrap_difference, bootstrap_mean, spearman
from argmind.report.reasoning_data import Stopping

#: Enough for the ends of a 95 % interval of a rank correlation, which is slow to compute.
_RESAMPLES = 300


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The thinker's longest budget with a plateau stop, split by split."""

    tolerance: float
    rows: Sequence[Solved]

    def beside(self, longest: Sequence[Solved], seed: int) -> Stopping:
        """Against the same budget without a stop, all splits together."""
        solved, full = (_joined([row.solved for row in group]) for group in (self.rows, longest))
        nfe, all_nfe = (
            float(_joined([row.evaluation.nfe for row in group]).mean())
            for group in (self.rows, longest)
        )
        steps = _joined([row.evaluation.steps for row in self.rows])
        rounds = _joined([row.difficulty for row in self.rows])
        seeded = np.random.default_rng
        most = longest[0].budget.steps
        assert most is not None  # asked for
        return Stopping(
            most_steps=most,
            solved=bootstrap_mean(solved, seeded(seed)),
            minus_longest=bootstrap_difference(solved, full, seeded(seed)),
            mean_nfe=nfe,
            nfe_ratio=nfe / all_nfe,
            steps_by_rounds=[
                (int(count), bootstrap_mean(steps[rounds == count], seeded(seed)))
                for count in np.unique(rounds)
            ],
            rank=bootstrap(spearman, steps, rounds, generator=seeded(seed), resamples=_RESAMPLES),
        )


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([array.ravel() for array in arrays]).astype(float)
