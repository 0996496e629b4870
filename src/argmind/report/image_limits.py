"""What the figures of a report on denoising say, in sentences computed from them."""

from __future__ import annotations

import math

from argmind.eval.statistics import Interval, spearman
from argmind.report.image_data import ImageReport, ImageRow, NoiseLevel, gain_verdict
from argmind.report.markup import number, span


def comparison(report: ImageReport, level: NoiseLevel) -> str:
    """One paragraph: the thinker as trained against every rival at its best."""
    trained = level.at(report.thinker, report.trained_steps)
    told = [
        f"At {level.name} (std {level.std:g}; the noisy images have "
        f"{number(level.given.value, 2)} dB), {report.thinker} after the {report.trained_steps} "
        f"steps it was trained with reached {_with_range(trained)}."
    ]
    for rival in report.rivals:
        told.append(_against(report.thinker, level.best(rival)))
    return " ".join(told)


def _against(thinker: str, rival: ImageRow) -> str:
    what = rival.model if rival.steps is None else f"{rival.model} at its best ({rival.budget})"
    if rival.difference is None or not math.isfinite(rival.difference.value):
        return f"{what} reached {_with_range(rival)}."
    gain = _negated(rival.difference)
    return (
        f"{what} reached {_with_range(rival)}; {thinker} minus that is {signed(gain)} dB: "
        f"{gain_verdict(gain)}."
    )


def limits(report: ImageReport) -> list[str]:
    """The limits of this report, a sentence or two each."""
    found = [
        *_steps(report),
        _passes(report),
        *(_verification(report, level) for level in report.levels),
        _doubt(report),
        _diverged(report),
        _picked(report),
        _seeds(report),
        *report.notes,
    ]
    return [sentence for sentence in found if sentence]


def _steps(report: ImageReport) -> list[str]:
    trained, four = report.trained_steps, 4 * report.trained_steps
    told: list[str] = []
    for level, thinking, longer in zip(report.levels, report.thinking, report.longer, strict=True):
        told.append(
            f"At {level.name}, {trained} thinking steps changed PSNR by {signed(thinking)} dB "
            f"against the noisy image kept within [−1, 1]: {gain_verdict(thinking)}. Going on to "
            f"{four} changed it by {signed(longer)} dB more: {_settled(longer)}."
        )
    return told


def _settled(longer: Interval) -> str:
    words = gain_verdict(longer)
    return {"better": "it rises", "worse": "it falls"}.get(words, "no change beyond the interval")


def _passes(report: ImageReport) -> str:
    level = report.levels[0]
    mine = level.at(report.thinker, report.trained_steps)
    told = [f"{report.thinker} {_cost(mine)}"]
    told += [f"{rival} at its best {_cost(level.best(rival))}" for rival in report.rivals]
    return (
        f"Network evaluations (NFE) and time per image at {level.name}: {'; '.join(told)}. One "
        f"evaluation of {report.thinker} is a gradient, which costs about two passes of a rival."
    )


def _cost(row: ImageRow) -> str:
    return f"{number(row.nfe, 0)} ({number(row.ms_per_image, 2)} ms)"


def _verification(report: ImageReport, level: NoiseLevel) -> str:
    one = level.at(report.thinker, report.trained_steps)
    several = [
        row
        for row in level.rows
        if (row.model, row.steps) == (report.thinker, one.steps) and row.candidates > 1
    ]
    if not several:
        return ""
    told = [
        f"{row.candidates} starts {signed(row.difference)} dB ({gain_verdict(row.difference)})"
        for row in several
        if row.difference is not None
    ]
    return (
        f"Self-verification at {level.name}, keeping the start of least energy, against one "
        f"start: {'; '.join(told)}."
    )


def _doubt(report: ImageReport) -> str:
    told: list[str] = []
    for item in report.scores:
        correlation = spearman(*item.finite())
        if math.isfinite(correlation):
            told.append(f"{item.signal} of {item.model} {number(correlation, 2)}")
    if not told:
        return ""
    return "As a sign of doubt (rank correlation with the actual error): " + "; ".join(told) + "."


def _diverged(report: ImageReport) -> str:
    lost = [row for level in report.levels for row in level.rows if row.diverged]
    if not lost:
        return ""
    worst = max(lost, key=lambda row: row.diverged)
    return (
        f"{len(lost)} budgets left the finite numbers for some images, at most "
        f"{worst.diverged:,} with {worst.model}, {worst.budget}."
    )


def _picked(report: ImageReport) -> str:
    chosen = [rival for rival in report.rivals if len(report.levels[0].of(rival)) > 1]
    if not chosen:
        return ""
    return (
        f"The best step count of {' and '.join(chosen)} was picked on the images it is judged on, "
        f"which flatters it a little; {report.thinker} is judged at its trained steps."
    )


def _seeds(report: ImageReport) -> str:
    if len(report.results.seeds) > 1:
        return "The intervals are over held-out images; the spread over seeds is separate."
    return (
        "One training run with one seed: the intervals are over held-out images only. Models this "
        "small, on images this small, trained this briefly, say little about large ones."
    )


def _with_range(row: ImageRow) -> str:
    ends = span(row.psnr, 2)
    return f"{number(row.psnr.value, 2)} dB" + (f" ({ends})" if ends else "")


def signed(gain: Interval) -> str:
    """``+0.52 (+0.41 … +0.63)``."""
    value = _plus(gain.value)
    if gain.low is None or gain.high is None:
        return value
    return f"{value} ({_plus(gain.low)} … {_plus(gain.high)})"


def _plus(value: float) -> str:
    return ("+" if value > 0 else "") + number(value, 2)


def _negated(gain: Interval) -> Interval:
    low = None if gain.high is None else -gain.high
    high = None if gain.low is None else -gain.low
    return Interval(-gain.value, low, high)
