"""What the figures of a report on reasoning say, in sentences computed from them."""

from __future__ import annotations

import math

from argmind.eval.statistics import Interval
from argmind.report.markup import number, span
from argmind.report.reasoning_data import ReasoningReport, SolvedRow, gain_verdict

#: A model that solves less than this of the easy problems has hardly learnt the rules.
_LEARNT = 0.1


def comparison(report: ReasoningReport, split: str) -> str:
    """One paragraph: the thinker by its steps, and the rivals at their best."""
    trained = report.at(split, report.thinker, report.trained_steps)
    longest = report.of(split, report.thinker)[-1]
    told = [
        f"On the {split} puzzles, {report.thinker} solves {shared(trained.solved)} in its "
        f"own {report.trained_steps} steps and {shared(longest.solved)} in "
        f"{longest.steps}."
    ]
    for rival in report.rivals:
        told.append(_against(report.thinker, report.best(split, rival)))
    return " ".join(told)


def _against(thinker: str, rival: SolvedRow) -> str:
    what = rival.model if rival.steps is None else f"{rival.model} at its best ({rival.budget})"
    said = f"{what} solves {shared(rival.solved)}"
    if rival.difference is None:
        return f"{said}."
    word = gain_verdict(rival.difference)
    return f"{said}, {points(rival.difference)} points against {thinker} as trained: {word}."


def limits(report: ReasoningReport) -> list[str]:
    """What follows and what does not, a sentence or two each."""
    found = [
        *(_longer(report, split) for split in report.splits),
        _verification(report),
        _verifier(report),
        _stopping(report),
        _difficulty(report),
        _time(report),
        *_unlearnt(report),
        *report.notes,
        _seeds(report),
    ]
    return [sentence for sentence in found if sentence]


def _longer(report: ReasoningReport, split: str) -> str:
    few, many = report.trained_steps, 4 * report.trained_steps
    told = [
        f"{model} by {points(gain)} points ({_settled(gain)})"
        for (where, model), gain in report.longer.items()
        if where == split
    ]
    return (
        f"Thinking four times longer ({many} steps instead of its own {few}) changes the share "
        f"of {split} puzzles solved: {'; '.join(told)}."
    )


def _settled(gain: Interval) -> str:
    words = gain_verdict(gain)
    return {"better": "it rises", "worse": "it falls"}.get(words, "no change beyond the interval")


def _verification(report: ReasoningReport) -> str:
    told: list[str] = []
    for split in report.splits:
        several = [r for r in report.rows if r.split == split and r.candidates > 1]
        told += [
            f"{split} {points(row.difference)} points ({gain_verdict(row.difference)})"
            for row in several
            if row.difference is not None
        ]
    if not told:
        return ""
    count = max(row.candidates for row in report.rows)
    return (
        f"Self-verification, keeping the one of {count} starts (zero, and {count - 1} of noise) "
        f"with the least energy after {report.trained_steps} steps, against one start: "
        f"{'; '.join(told)}."
    )


def _verifier(report: ReasoningReport) -> str:
    told = [
        f"{'energy' if model == report.thinker else 'entropy'} of {model} {_ranged(auroc)}"
        for model, auroc in report.auroc.items()
        if math.isfinite(auroc.value)
    ]
    if not told:
        return "No verifier can be judged: every answer is right, or every one wrong."
    return (
        f"As a verifier that tells solved boards from others (AUROC; 0.5 is chance): "
        f"{'; '.join(told)}."
    )


def _stopping(report: ReasoningReport) -> str:
    stop = report.stopping
    kept = gain_verdict(stop.minus_longest)
    return (
        f"Stopping once the energy has settled takes {number(stop.mean_nfe, 1)} of "
        f"{stop.most_steps} evaluations a puzzle ({number(stop.nfe_ratio, 2)} of them) and solves "
        f"{shared(stop.solved)}, {points(stop.minus_longest)} points against taking all steps: "
        f"{kept}."
    )


def _difficulty(report: ReasoningReport) -> str:
    rank = report.stopping.rank
    if not math.isfinite(rank.value):
        return "Every puzzle took equally many steps: they say nothing of its difficulty."
    return (
        "Steps used and the rounds that a solver takes, which fills in at once all that is decided "
        f"by now, have a rank correlation of {_ranged(rank)}: {_strength(rank)}."
    )


def _strength(rank: Interval) -> str:
    if rank.low is None or rank.low <= 0:
        return "it does not think longer about harder puzzles, as far as this can tell"
    return "it thinks longer about harder puzzles" + (
        "" if rank.value >= 0.5 else ", though loosely"
    )


def _time(report: ReasoningReport) -> str:
    told = [
        f"{model} {number(seconds, 0)} s ({report.training_steps[model]:,} steps)"
        for model, seconds in report.training_s.items()
    ]
    return (
        f"All had about equal parameters and training time: {', '.join(told)}. They did not see "
        f"equally much data: a step of {report.thinker} costs many of a rival's. Learning rate, "
        "batch size and shape of the schedule are the same for all; each might do better with its "
        "own."
    )


def _unlearnt(report: ReasoningReport) -> list[str]:
    split = report.splits[0]
    return [
        f"{model} hardly learnt the rules in this time (at best "
        f"{shared(report.best(split, model).solved)} of the {split} puzzles): what it would do "
        "with longer training cannot be told from this."
        for model in (report.thinker, *report.rivals)
        if report.best(split, model).solved.value < _LEARNT
    ]


def _seeds(report: ReasoningReport) -> str:
    if len(report.results.seeds) > 1:
        return "The intervals are over held-out puzzles; the spread over seeds is separate."
    return (
        "One training run with one seed: the intervals are over held-out puzzles only. Puzzles "
        "this small are solved by a few lines of code; they are here because a right answer is "
        "beyond doubt."
    )


def shared(share: Interval) -> str:
    """``42.1 % (37.0 … 47.4)``."""
    ends = span(share.map(_hundred), 1)
    return f"{number(100 * share.value, 1)} %" + (f" ({ends})" if ends else "")


def points(gain: Interval) -> str:
    """``+12.0 (+8.1 … +15.9)``, in points of a hundred."""
    value = _plus(gain.value)
    if gain.low is None or gain.high is None:
        return value
    return f"{value} ({_plus(gain.low)} … {_plus(gain.high)})"


def _plus(value: float) -> str:
    return ("+" if value > 0 else "") + number(100 * value, 1)


def _hundred(share: float) -> float:
    return 100 * share


def _ranged(interval: Interval) -> str:
    ends = span(interval, 2)
    return number(interval.value, 2) + (f" ({ends})" if ends else "")
