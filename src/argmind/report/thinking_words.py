"""What a study of thinking says, in sentences computed from its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from argmind.eval.adaptive import Adaptive
from argmind.eval.curvature import OVERSHOOT
from argmind.eval.statistics import Interval, verdict
from argmind.eval.thinking_data import Gain, Quality, Steepness, ThinkingStudy
from argmind.report.markup import number, span


def findings(study: ThinkingStudy) -> list[str]:
    """A sentence or two for everything that was measured."""
    if not study.thinks:
        found = ["This model does not think: it gives one answer, whatever the budget."]
    else:
        found = [
            _best(study),
            *(_gain(study, gain) for gain in study.gains),
            _adaptive(study),
            _falling(study),
        ]
    found += [_calibration(study), *_steepness(study), _spread(study)]
    return [sentence for sentence in found if sentence]


def warnings(study: ThinkingStudy) -> list[str]:
    """What may go wrong with steps as long as these."""
    found = [_overshooting(row) for row in study.steepness if _share_above(row) > 0]
    lost = [row for row in study.rows if row.diverged]
    if lost:
        worst = max(lost, key=lambda row: row.diverged)
        found.append(
            f"{worst.diverged:,} predictions left the finite numbers within {worst.steps} steps "
            f"({worst.split}, {worst.candidates} candidates)."
        )
    return found


def judged(difference: Interval, quality: Quality) -> str:
    """Better, worse or undecided, whichever way is better."""
    if not quality.more_is_better:
        return verdict(difference, 0.0)
    low = None if difference.high is None else -difference.high
    high = None if difference.low is None else -difference.low
    return verdict(Interval(-difference.value, low, high), 0.0)


def ranged(interval: Interval, digits: int = 3) -> str:
    """``0.612 (0.580 … 0.641)``."""
    ends = span(interval, digits)
    return number(interval.value, digits) + (f" ({ends})" if ends else "")


def _best(study: ThinkingStudy) -> str:
    own = [row for row in study.rows if row.split == study.first]
    sign = -1 if study.quality.more_is_better else 1
    best = min(own, key=lambda row: (sign * row.quality.value, row.nfe))
    trained = study.at(study.first, study.trained_steps)
    return (
        f"On '{study.first}', {study.quality.name} is {ranged(trained.quality)} at the "
        f"{study.trained_steps} steps of training with one candidate. The best of {len(own)} "
        f"budgets, {best.steps} steps with {best.candidates} candidates, has "
        f"{ranged(best.quality)}; it was picked on the samples that it is judged on."
    )


def _gain(study: ThinkingStudy, gain: Gain) -> str:
    longest = max(row.steps for row in study.line(gain.split))
    if longest == study.trained_steps:
        return ""
    return (
        f"On '{gain.split}', going on from {study.trained_steps} to {longest} steps changes it by "
        f"{_signed(gain.difference)}: {judged(gain.difference, study.quality)}."
    )


def _adaptive(study: ThinkingStudy) -> str:
    if not study.adaptive:
        return "A stop that waits for the energy to settle never stopped early."
    kept = [row for row in study.adaptive if not _loses(row, study.quality)]
    most = study.line(study.first)[-1].nfe
    if not kept:
        row = min(study.adaptive, key=lambda row: abs(row.minus_longest.value))
        return (
            f"Stopping early always costs quality: at best {_signed(row.minus_longest)} against "
            f"the full budget, for {number(row.nfe / most, 2)} of its evaluations."
        )
    row = min(kept, key=lambda row: row.nfe)
    said = (
        f"Stopping when the energy has settled (a change below {row.tolerance:.3g}) takes "
        f"{number(row.nfe, 1)} of {number(most, 1)} evaluations, {number(row.nfe / most, 2)} of "
        f"them, without a loss beyond the interval ({_signed(row.minus_longest)})"
    )
    if row.minus_fixed is None:
        return said + "."
    word = judged(row.minus_fixed, study.quality)
    return (
        f"{said}; against fixed budgets of the same mean cost {_signed(row.minus_fixed)}: {word}."
    )


def _loses(row: Adaptive, quality: Quality) -> bool:
    return judged(row.minus_longest, quality) == "worse"


def _falling(study: ThinkingStudy) -> str:
    if not study.falling:
        return ""
    trained = study.falling[: study.trained_steps]
    later = study.falling[study.trained_steps :]
    said = f"Up to the trained number, {_mean_percent(trained)} of the steps lower the energy"
    return f"{said}; after it, {_mean_percent(later)}." if later else f"{said}."


def _mean_percent(shares: Sequence[float]) -> str:
    return _percent(float(np.mean(shares)))


def _calibration(study: ThinkingStudy) -> str:
    found = study.calibration
    if not math.isfinite(found.rank.value):
        return "Energy and quality cannot be compared: one of them is the same everywhere."
    right = "negative" if study.quality.more_is_better else "positive"
    said = (
        f"Rank correlation of energy and {study.quality.name}: {ranged(found.rank, 2)} ({right} "
        "means that low energy is a good sign)"
    )
    if found.auroc is None or not math.isfinite(found.auroc.value):
        return f"{said}."
    return f"{said}; as a verifier of right against wrong it has AUROC {ranged(found.auroc, 2)}."


def _steepness(study: ThinkingStudy) -> list[str]:
    if not study.steepness:
        return []
    told = [
        f"{number(float(np.nanmedian(row.values)), 2)} after {row.steps} steps"
        for row in study.steepness
    ]
    return [
        "Step size times the largest eigenvalue of the energy's Hessian, median: "
        f"{', '.join(told)}; above {OVERSHOOT:g} a step overshoots.",
        *warnings(study),
    ]


def _overshooting(row: Steepness) -> str:
    return (
        f"After {row.steps} steps, {_percent(_share_above(row))} of the predictions stand where "
        f"step size times curvature exceeds {OVERSHOOT:g}: there steps overshoot, and longer "
        "thinking may diverge. A smaller step size, or --accept-lower, is the cure."
    )


def _share_above(row: Steepness) -> float:
    return float((row.values > OVERSHOOT).mean())


def _spread(study: ThinkingStudy) -> str:
    if not study.spreads:
        return ""
    last = study.spreads[-1]
    said = (
        f"{last.candidates} candidates are {ranged(last.distance)} apart after {last.steps} steps "
        "(root mean square, mean over pairs)"
    )
    if last.distinct is None:
        return f"{said}."
    return (
        f"{said}; {_percent(last.distinct.value)} of those after the first are answers of their "
        "own: the rest is no choice."
    )


def _percent(share: float) -> str:
    return f"{number(100 * share, 1)} %"


def _signed(difference: Interval) -> str:
    sign = "+" if difference.value > 0 else ""
    return sign + ranged(difference)
