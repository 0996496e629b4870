"""The figures of ``policy_results.py`` from the rows of its jobs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jobs import Named, Row, over
from policy_tasks import DIFFUSION, EBT, MODELS, TASKS, task_of

TIMING = "timing"
#: The claim of the published comparison, and what it is held against.
_MINE, _THEIRS = "ebt_2", "ddpm_100"
_SHARE = "1"
#: Environments with two ways to the goal.
_WITH_ROUTES = ("pointmaze", "point")


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Means and ranges over seeds; differences of pairs with their 95 % bootstrap intervals."""
    done = {name: runs for name, runs in rows.items() if name != TIMING}
    for name, runs in done.items():
        if "ways" in runs[0]:
            yield from _success(name, runs)
            yield from _along_training(name, runs)
            yield from _gauge(name, runs)
        yield from _costs(name, runs)
    for task in dict.fromkeys(task_of(name)[0] for name in done):
        yield from _compared(task, done)
        yield from _equal_success(task, done)
    yield from _gauge_means(done)
    for row in rows.get(TIMING, []):
        for device, times in row["ms"].items():
            place = "" if device == "cpu" else "_gpu"
            for key, ms in times.items():
                yield f"time_per_action{place}_ms_{key}", ms, "ms"


def prefix(task: str) -> str:
    """What figures of a task begin with."""
    return task.replace("-", "_")


# ---------------------------------------------------------------------- success


def _success(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    task, model = task_of(name)
    start = prefix(task)
    for key in runs[0]["ways"]:
        named = MODELS[model].named.format(key)
        success = over(runs, lambda row, key=key: float(np.mean(row["ways"][key]["success"])))
        if TASKS[task].environment == "metaworld":
            yield f"{start}_{named}", success, _SHARE
            continue
        yield f"{start}_success_{named}", success, _SHARE
        if task == "pusht":
            best = over(runs, lambda row, key=key: float(np.mean(row["ways"][key]["scores"])))
            yield f"{start}_coverage_{named}", best, "mean of the greatest coverage"
        if TASKS[task].environment in _WITH_ROUTES:
            taken = [row for row in runs if any(row["ways"][key]["routes"])]
            left = over(taken or runs, lambda row, key=key: left_share(row["ways"][key]["routes"]))
            yield f"{start}_left_share_{named}", left, "of successes"


def left_share(routes: Sequence[str]) -> float:
    """Of the routes taken the share that is left; NaN where none is."""
    taken = [route for route in routes if route]
    return taken.count("left") / len(taken) if taken else math.nan


def _compared(task: str, rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """The claim: two thinking steps against a hundred of diffusion, in the same episodes."""
    from argmind.eval.statistics import bootstrap_difference

    mine = {row["seed"]: row for row in rows.get(f"{task}_{EBT}", [])}
    measures = {"success": "success"} | ({"coverage": "scores"} if task == "pusht" else {})
    for rival in [name for name, model in MODELS.items() if model.kind == "dp"]:
        theirs = {row["seed"]: row for row in rows.get(f"{task}_{rival}", [])}
        both = [
            (mine[seed]["ways"][_MINE], theirs[seed]["ways"][_THEIRS])
            for seed in sorted(set(mine) & set(theirs))
            if _MINE in mine[seed].get("ways", {}) and _THEIRS in theirs[seed].get("ways", {})
        ]
        named = MODELS[rival].named.format(_THEIRS)
        for word, column in measures.items() if both else ():
            first, second = (
                np.concatenate([pair[side][column] for pair in both]).astype(float)
                for side in (0, 1)
            )
            found = bootstrap_difference(first, second, np.random.default_rng(0))
            yield f"{prefix(task)}_{word}_{_MINE}_minus_{named}", found, _SHARE


# ---------------------------------------------------------------------- training


def _along_training(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    curves = [row["by_training"] for row in runs]
    if not all(curves) or len({len(curve) for curve in curves}) > 1:
        return
    task, model = task_of(name)
    start = f"{prefix(task)}_{MODELS[model].short}"
    for column, unit in (("success", _SHARE), ("score", _SHARE), ("training_s", "s")):
        points = [
            over(runs, lambda row, at=at, column=column: row["by_training"][at][column])
            for at in range(len(curves[0]))
        ]
        yield f"{start}_{column}_by_training", points, unit


def _equal_success(task: str, rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Seconds of training after which both reach what the weaker of them reaches at its end.

    Of Push-T it is coverage: successes are too few to tell. Where one never succeeds there is
    nothing to reach.
    """
    column, word = ("score", "coverage") if task == "pusht" else ("success", "success")
    curves = {m: _mean_curve(rows.get(f"{task}_{m}", []), column) for m in (EBT, DIFFUSION)}
    if not all(len(curve) for curve in curves.values()):
        return
    level = min(curve[-1, 1] for curve in curves.values())
    if level <= 0:
        return
    yield f"{prefix(task)}_equal_{word}", float(level), _SHARE
    for model, curve in curves.items():
        yield (
            f"{prefix(task)}_seconds_to_equal_{word}_{MODELS[model].short}",
            reached(curve, level),
            "s",
        )


def _mean_curve(runs: Sequence[Row], column: str) -> Any:
    """Means over seeds of (seconds, column) by checkpoint, the untrained model before them."""
    curves = [row.get("by_training", []) for row in runs]
    if not curves or not all(curves) or len({len(curve) for curve in curves}) > 1:
        return np.empty((0, 2))
    table = [[(one["training_s"], one[column]) for one in curve] for curve in curves]
    return np.concatenate([np.zeros((1, 2)), np.mean(table, 0)])


def reached(curve: Any, level: float) -> float:
    """When a curve of (seconds, success) is first at a level, on the lines between its points."""
    for (began, low), (ended, high) in pairwise(curve):
        if high >= level:
            share = (level - low) / (high - low) if high > low else 0.0
            return float(began + max(0.0, share) * (ended - began))
    return math.nan


def _costs(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    task, model = task_of(name)
    start = f"{prefix(task)}_{MODELS[model].short}"
    yield f"{start}_parameters", runs[0]["parameters"], "parameters"
    yield f"{start}_epochs", runs[0]["samples"] / runs[0]["samples_per_epoch"], "epochs"
    yield f"{start}_training_flops", runs[0]["training_flops"], "FLOP"
    yield f"{start}_training_s", over(runs, lambda row: row["training_s"]), "s"


# ---------------------------------------------------------------------- the gauge

#: Figure, and where a row's gauge has it.
_GAUGED = {
    "ood_auroc": ("noise", "auroc"),
    "perturbed_auroc": ("perturbed", "auroc"),
    "recovery": ("recovery", "rate"),
}


def _gauge(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    task, model = task_of(name)
    for word, place in _GAUGED.items():
        if any(gauged(row, *place) is not None for row in runs):
            found = over(runs, lambda row, place=place: gauged(row, *place))
            yield f"{prefix(task)}_{word}_{MODELS[model].short}", found, _SHARE


def gauged(row: Row, part: str, name: str) -> float | None:
    """A number of a row's gauge; of an interval its value."""
    found = row.get("gauge", {}).get(part, {}).get(name)
    return found[0] if isinstance(found, list | tuple) else found


def _gauge_means(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """The same over all tasks: the mean of their means, least and greatest of them."""
    for word, place in _GAUGED.items():
        for model in MODELS:
            means = [
                {"mean": over(runs, lambda row, place=place: gauged(row, *place)).value}
                for name, runs in rows.items()
                if task_of(name)[1] == model and any(gauged(r, *place) is not None for r in runs)
            ]
            if means:
                yield f"{word}_{MODELS[model].short}", over(means, lambda row: row["mean"]), _SHARE
