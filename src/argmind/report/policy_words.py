"""What the figures of a report on policies say, in sentences computed from them."""

from __future__ import annotations

import math

from argmind.eval.statistics import Interval
from argmind.report.markup import number, span
from argmind.report.policy_data import ROUTES, PolicyReport, PolicyRow
from argmind.report.reasoning_data import gain_verdict
from argmind.report.reasoning_words import points


def percent(share: float | None) -> str:
    """A share as hundredths."""
    return number(None if share is None else 100 * share, 1)


def comparison(report: PolicyReport) -> str:
    """One paragraph: the thinker, the rival that draws, and the one that averages."""
    mine, theirs, plain = report.mine, report.theirs, report.plain
    told = (
        f"Of {report.episodes} episodes, {_named(mine)} succeeds in {_with_range(mine.success)}, "
        f"{_named(theirs)} in {_with_range(theirs.success)} and {_named(plain)} in "
        f"{_with_range(plain.success)}"
    )
    if mine.difference is not None:
        told += (
            f": {report.thinker} is {points(mine.difference)} points from {report.generator}, "
            f"{gain_verdict(mine.difference)}"
        )
    return f"{told}. {_times(mine, theirs)}"


def ways(report: PolicyReport) -> str:
    """Are both ways of the demonstrations kept?"""
    told = [_route_words(row) for row in (report.mine, report.theirs, report.plain)]
    return (
        f"The demonstrations go left in {percent(report.demonstrated_left)} % of their episodes "
        f"and right in the others. Of the episodes that succeed, {'; '.join(told)}."
    )


def limits(report: PolicyReport) -> list[str]:
    """The limits of this report, a sentence or two each."""
    found = [
        _steps(report),
        _shortcut(report),
        _average(report),
        _gauge(report),
        _unequal(report),
        _seeds(report),
        *report.notes,
    ]
    return [sentence for sentence in found if sentence]


def _steps(report: PolicyReport) -> str:
    rows = report.of(report.thinker)
    best = max(rows, key=lambda row: (row.success.value, -row.nfe))
    told = ", ".join(f"{percent(row.success.value)} % with {row.way}" for row in rows)
    alike = len({row.success.value for row in rows}) == 1
    words = "no change" if alike else f"most with {best.way}"
    return f"Thinking longer: {report.thinker} succeeds in {told}; {words}."


def _shortcut(report: PolicyReport) -> str:
    """What the rival loses by taking fewer steps."""
    rows = report.of(report.generator)
    fewest, most = rows[0], rows[-1]
    if fewest is most:
        return ""
    return (
        f"{report.generator} asked in few evaluations, {fewest.way}, succeeds in "
        f"{percent(fewest.success.value)} % where {most.way} succeeds in "
        f"{percent(most.success.value)} %: short cuts of its sampler, which was not trained again "
        "for them, are part of this comparison."
    )


def _average(report: PolicyReport) -> str:
    plain, count = report.plain, report.episodes
    lost = sum(not good for good in plain.succeeded)
    if not lost:
        return (
            f"{report.average}, which learns the mean of what was demonstrated, fails in none of "
            f"{count} episodes: averaging did no harm here."
        )
    if lost == count:
        return (
            f"{report.average}, which learns the mean of what was demonstrated, fails in all "
            f"{count} episodes."
        )
    return (
        f"{report.average}, which learns the mean of what was demonstrated, fails in {lost} of "
        f"{count} episodes; of the others {plain.count(ROUTES[0])} go left and "
        f"{plain.count(ROUTES[1])} right."
    )


def _gauge(report: PolicyReport) -> str:
    chance = report.failure_auroc
    if not math.isfinite(chance.value):
        return (
            f"Whether energy foretells failure cannot be said: {_named(report.mine)} failed in "
            "too few episodes, or in all."
        )
    low, high = chance.low, chance.high
    if low is not None and low > 0.5:
        words = "it foretells failure"
    elif high is not None and high < 0.5:
        words = "it is lower where it fails"
    elif low is None:
        words = "too few of one kind to say how sure that is"
    else:
        words = "it does not foretell failure beyond the interval"
    ends = span(chance, 2)
    told = f"{number(chance.value, 2)}{f' ({ends})' if ends else ''}"
    return (
        f"The mean energy of the first {report.gauged_plans} plans is higher in an episode that "
        f"fails than in one that succeeds with a chance of {told}, where 0.5 is guessing: {words}."
    )


def _unequal(report: PolicyReport) -> str:
    told = [f"{one.model} took {one.steps:,} optimiser steps" for one in report.training]
    return (
        f"Equal time is not equal data seen: {'; '.join(told)} in about the same seconds. The "
        "learning rate and the size of batches are the same for all."
    )


def _seeds(report: PolicyReport) -> str:
    if len(report.results.seeds) > 1:
        return "The intervals are over episodes; the spread over seeds is separate."
    return (
        "One training run with one seed: the intervals are over episodes only. A point that goes "
        "round an obstacle says little about robots; `benchmarks/policy_results.py` has the "
        "simulators."
    )


def _times(mine: PolicyRow, theirs: PolicyRow) -> str:
    slower, faster = (
        (theirs, mine) if theirs.ms_per_action >= mine.ms_per_action else (mine, theirs)
    )
    ratio = slower.ms_per_action / faster.ms_per_action if faster.ms_per_action else math.nan
    return (
        f"An action costs {_named(mine)} {number(mine.ms_per_action, 2)} ms and {_named(theirs)} "
        f"{number(theirs.ms_per_action, 2)} ms: {faster.model} is {number(ratio, 1)} times faster."
    )


def _route_words(row: PolicyRow) -> str:
    if row.left is None:
        return f"{_named(row)} has none"
    kept = [route for route in ROUTES if row.count(route)]
    words = "both ways kept" if len(kept) == len(ROUTES) else f"only {kept[0]}"
    return f"{_named(row)} goes left in {_with_range(row.left)}: {words}"


def _named(row: PolicyRow) -> str:
    return f"{row.model} ({row.way})"


def _with_range(share: Interval) -> str:
    ends = span(share.map(lambda value: 100 * value), 1)
    return f"{percent(share.value)} %{f' ({ends})' if ends else ''}"
