"""What the figures of a report do and do not show, said in sentences computed from them."""

from __future__ import annotations

import math

from argmind.eval.statistics import spearman, verdict
from argmind.report.data import BudgetRow, TextReport
from argmind.report.markup import number, span


def best_row(report: TextReport) -> BudgetRow:
    """The budget with the lowest held-out loss; the cheapest of equals."""
    return min(report.budgets, key=lambda row: (_cost(row), row.nfe))


def comparison(report: TextReport) -> str:
    """One paragraph: the trained budget and the best one, each against the rival."""
    rival, best = report.rival, best_row(report)
    text = f"{rival.model} reached {_with_range(rival)}. "
    trained = _trained_row(report)
    if trained is not None:
        text += (
            f"{trained.model} at the {report.trained_steps} steps it was trained with and one "
            f"candidate reached {_with_range(trained)}: {trained.verdict(rival)}. "
        )
    if best is not trained:
        text += (
            f"The best budget of {best.model}, {_budget(best)}, reached {_with_range(best)}: "
            f"{best.verdict(rival)}."
        )
    return text.strip()


def limits(report: TextReport) -> list[str]:
    """The limits of this report, a sentence or two each."""
    found = [
        _steps_helped(report),
        _selection(report),
        _more_thinking(report),
        _cost_of_thinking(report),
        _doubt(report),
        _diverged(report),
        _seeds(report),
        *report.notes,
    ]
    return [sentence for sentence in found if sentence]


def _steps_helped(report: TextReport) -> str:
    start, best = _row_at(report, 0, 1), best_row(report)
    if start is None or best is start:
        return "" if start is None else "No thinking budget did better than no thinking at all."
    gain = start.nats.value - best.nats.value
    words = verdict(best.nats, start.nats.value)
    return (
        f"Thinking itself ({_budget(best)} against 0 steps with the same weights) changed the loss "
        f"by {_signed(-gain)} nats per token: {words}."
    )


def _selection(report: TextReport) -> str:
    if len(report.budgets) < 2:
        return ""
    return (
        f"The best of {len(report.budgets)} budgets was picked on the same text that it is judged "
        "on, which flatters it a little; its interval does not know of the choice."
    )


def _more_thinking(report: TextReport) -> str:
    deepest = max(report.budgets, key=lambda row: (row.steps, -row.candidates))
    same = [row for row in report.budgets if row.candidates == deepest.candidates]
    best = min(same, key=lambda row: (_cost(row), row.steps))
    if best is deepest or len(same) < 2:
        return ""
    loss = deepest.nats.value - best.nats.value
    beyond = f", beyond the {report.trained_steps} it was trained with,"
    return (
        f"More is not always better: {deepest.steps} steps"
        f"{beyond if deepest.steps > report.trained_steps else ''} are {_signed(loss)} nats per "
        f"token away from {best.steps} steps."
    )


def _cost_of_thinking(report: TextReport) -> str:
    best, rival = best_row(report), report.rival
    if not rival.ms_per_token > 0 or not math.isfinite(best.ms_per_token):
        return ""
    ratio = best.ms_per_token / rival.ms_per_token
    return (
        f"The comparison is at equal data and about equal parameters, not at equal compute: the "
        f"best budget took {number(best.nfe, 1)} energy-gradient evaluations and "
        f"{number(ratio, 1)} times as long per token as {rival.model}."
    )


def _doubt(report: TextReport) -> str:
    told = []
    for item in report.scores:
        correlation = spearman(*item.finite())
        if math.isfinite(correlation):
            told.append(f"{item.signal} of {item.model} {number(correlation, 2)}")
    if not told:
        return ""
    return (
        "As a sign of doubt (rank correlation with the actual loss): " + "; ".join(told) + ". "
        "A plain model's entropy is the bar to clear."
    )


def _diverged(report: TextReport) -> str:
    lost = [row for row in report.budgets if row.diverged]
    if not lost:
        return ""
    worst = max(lost, key=lambda row: row.diverged)
    return (
        f"Thinking diverged (was not finite) for some tokens in {len(lost)} budgets, at most "
        f"{worst.diverged:,} tokens with {_budget(worst)}."
    )


def _seeds(report: TextReport) -> str:
    count = len(report.results.seeds)
    if count > 1:
        return "The intervals are over held-out sequences; the spread over seeds is separate."
    return (
        "One training run with one seed: the intervals are over held-out sequences only, and "
        "another seed may move both models by more than they say. Models this small and trained "
        "this briefly say little about large ones."
    )


def _trained_row(report: TextReport) -> BudgetRow | None:
    return _row_at(report, report.trained_steps, 1)


def _row_at(report: TextReport, steps: int, candidates: int) -> BudgetRow | None:
    rows = (r for r in report.budgets if (r.steps, r.candidates) == (steps, candidates))
    return next(rows, None)


def _cost(row: BudgetRow) -> float:
    return row.nats.value if math.isfinite(row.nats.value) else math.inf


def _budget(row: BudgetRow) -> str:
    steps = f"{row.steps} step{'' if row.steps == 1 else 's'}"
    return f"{steps} with {row.candidates} candidate{'' if row.candidates == 1 else 's'}"


def _with_range(row: BudgetRow) -> str:
    ends = span(row.nats)
    return f"{number(row.nats.value)} nats per token" + (f" ({ends})" if ends else "")


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)
