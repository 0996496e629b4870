"""What the figures of a report on video say, in sentences computed from them."""

from __future__ import annotations

import math

from argmind.eval.statistics import Interval, spearman, verdict
from argmind.report.markup import number, span
from argmind.report.video_data import VideoReport, VideoRow

DIGITS = 4


def comparison(report: VideoReport) -> str:
    """One paragraph: the thinker as trained against its rival and against a frame that stays."""
    told = (
        f"Predicting the next frame, {report.rival} reached a mean squared error of "
        f"{_with_range(report.plain)}, and {report.thinker} after the {report.trained_steps} steps "
        f"it was trained with {_with_range(report.trained)}"
    )
    difference = report.trained.difference
    if difference is not None:
        told += f": {verdict(difference, 0.0)}"
    return f"{told}. Predicting that nothing changes has {_with_range(report.still)}."


def rolled(report: VideoReport) -> str:
    """The roll-outs, at the first frame and at the last."""
    told = [
        f"{model} {number(by[0].value, DIGITS)} after 1 frame, "
        f"{number(by[-1].value, DIGITS)} after {len(by)}"
        for model, by in report.horizons.items()
    ]
    mine, theirs = (report.horizons[name][-1] for name in (report.thinker, report.rival))
    words = _apart(mine, theirs)
    return (
        f"Fed with its own predictions after {report.given} true frames: {'; '.join(told)}. At the "
        f"end, {report.thinker} is {words} {report.rival}."
    )


def uncertain(report: VideoReport) -> str:
    """Does the energy say where the future is open?"""
    doubt = report.doubt
    told = doubt.auroc_same_frame
    level = told.low if told.low is not None else told.value
    words = "it says so" if level > 0.5 else "it does not say so beyond the interval"
    return (
        "Where the digit would leave its quarter, chance decides which way it turns. Energy there "
        f"is {doubt.at_turn.value:.3g} against {doubt.elsewhere.value:.3g} "
        f"elsewhere; told by energy alone, a prediction across the turn stands out with a chance "
        f"of {number(doubt.auroc.value, 2)}{_ends(doubt.auroc, 2)}, and of "
        f"{number(doubt.auroc_same_frame.value, 2)}{_ends(doubt.auroc_same_frame, 2)} among frames "
        f"as far into their clips, where 0.5 is guessing: {words}."
    )


def limits(report: VideoReport) -> list[str]:
    """The limits of this report, a sentence or two each."""
    found = [
        _steps(report),
        _cost(report),
        _correlation(report),
        _diverged(report),
        _seeds(report),
        *report.notes,
    ]
    return [sentence for sentence in found if sentence]


def _steps(report: VideoReport) -> str:
    start = next((row for row in report.rows if row.steps == 0), None)
    deepest = max(report.rows, key=lambda row: row.steps or 0)
    if start is None:
        return ""
    return (
        f"Thinking changed the error of the first guess, {number(start.error.value, DIGITS)}, to "
        f"{number(report.trained.error.value, DIGITS)} after {report.trained_steps} steps and "
        f"{number(deepest.error.value, DIGITS)} after {deepest.steps}."
    )


def _cost(report: VideoReport) -> str:
    mine, plain = report.trained.ms_per_frame, report.plain.ms_per_frame
    if mine is None or not plain:
        return ""
    return (
        f"A frame took {report.thinker} {number(mine, 2)} ms and {report.rival} "
        f"{number(plain, 2)} ms: the comparison is at equal data and about equal parameters, not "
        "at equal compute."
    )


def _correlation(report: VideoReport) -> str:
    told: list[str] = []
    for item in report.scores:
        correlation = spearman(*item.finite())
        if math.isfinite(correlation):
            told.append(f"{item.signal} of {item.model} {number(correlation, 2)}")
    if not told:
        return ""
    return "As a sign of doubt (rank correlation with the actual error): " + "; ".join(told) + "."


def _diverged(report: VideoReport) -> str:
    lost = [row for row in report.rows if row.diverged]
    if not lost:
        return ""
    worst = max(lost, key=lambda row: row.diverged)
    return (
        f"Thinking left the finite numbers for some frames in {len(lost)} budgets, at most "
        f"{worst.diverged:,} with {worst.steps} steps."
    )


def _seeds(report: VideoReport) -> str:
    if len(report.results.seeds) > 1:
        return "The intervals are over held-out clips; the spread over seeds is separate."
    return (
        "One training run with one seed: the intervals are over held-out clips only. Models this "
        "small, on frames this small, trained this briefly, say little about large ones."
    )


def _apart(mine: Interval, theirs: Interval) -> str:
    if None in (mine.low, mine.high, theirs.low, theirs.high):
        return "not told apart from"
    if mine.high < theirs.low:  # type: ignore[operator]
        return "better than"
    if mine.low > theirs.high:  # type: ignore[operator]
        return "worse than"
    return "not told apart (overlapping intervals) from"


def _with_range(row: VideoRow) -> str:
    return f"{number(row.error.value, DIGITS)}{_ends(row.error, DIGITS)}"


def _ends(interval: Interval, digits: int) -> str:
    ends = span(interval, digits)
    return f" ({ends})" if ends else ""
