"""Stopping when an answer has settled, against fixed budgets of the same mean cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig, part_config
from argmind.eval.evaluate import Evaluation
from argmind.eval.statistics import Interval, bootstrap_difference, bootstrap_mean
from argmind.eval.stopping import typical_change
from argmind.predictors.base import Predictor

Array = NDArray[Any]
#: Tolerances, as shares of the typical change of energy in the first step.
SHARES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """The longest budget with a plateau stop, beside fixed budgets of the same mean NFE."""

    share: float  # of the typical first change of energy
    tolerance: float
    nfe: float
    steps: float
    quality: Interval
    #: Quality at this mean NFE between the two nearest fixed budgets, and minus the longest one;
    #: None where it lies outside of all.
    at_equal_nfe: Interval | None
    minus_fixed: Interval | None
    minus_longest: Interval


def adaptive_rows(
    predictor: Predictor,
    problem: Any,
    *,
    fixed: Sequence[tuple[float, Array]],
    ask: Callable[[PartConfig], Evaluation],
    quality: Callable[[Evaluation], Array],
    seed: int = 0,
) -> list[Adaptive]:
    """A row for each of :data:`SHARES`; none where the model never stops early.

    Args:
        problem: a batch to take the typical change of energy from.
        fixed: mean NFE of fixed budgets and the quality of every prediction, the longest last.
        ask: evaluate the longest budget with a stop.
    """
    typical = typical_change(predictor, problem)
    most, longest = fixed[-1]
    rows = [
        _row(share, typical, fixed, longest, ask, quality, seed) for share in SHARES if typical > 0
    ]
    return rows if any(row.nfe < most for row in rows) else []


def _row(
    share: float,
    typical: float,
    fixed: Sequence[tuple[float, Array]],
    longest: Array,
    ask: Callable[[PartConfig], Evaluation],
    quality: Callable[[Evaluation], Array],
    seed: int,
) -> Adaptive:
    tolerance = share * typical
    result = ask(part_config("stop", "plateau", tolerance=tolerance))
    values, nfe = quality(result), float(result.nfe.mean())
    between = between_fixed(fixed, nfe)
    return Adaptive(
        share=share,
        tolerance=tolerance,
        nfe=nfe,
        steps=float(result.steps.mean()),
        quality=bootstrap_mean(values, np.random.default_rng(seed)),
        at_equal_nfe=None
        if between is None
        else bootstrap_mean(between, np.random.default_rng(seed)),
        minus_fixed=None
        if between is None
        else bootstrap_difference(values, between, np.random.default_rng(seed)),
        minus_longest=bootstrap_difference(values, longest, np.random.default_rng(seed)),
    )


def between_fixed(fixed: Sequence[tuple[float, Array]], nfe: float) -> Array | None:
    """Quality at a mean NFE, linear between the two fixed budgets around it, per prediction.

    It is what one gets by giving some problems the one budget and the rest the other.
    """
    ordered = sorted(fixed, key=lambda pair: pair[0])
    for (low, less), (high, more) in pairwise(ordered):
        if low <= nfe <= high and high > low:
            weight = (nfe - low) / (high - low)
            return (1 - weight) * less + weight * more
    return None
