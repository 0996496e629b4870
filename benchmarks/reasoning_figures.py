"""The figures of ``reasoning_results.py`` from the rows of its jobs.

``TASK_SPLIT_MODEL``: the share of problems solved, of matrices and sums the mean squared error. Of
the energy model that is after four times the trained steps; of a rival that thinks, its best budget
of all, chosen in its favour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs import Named, Row, over
from reasoning_measures import FACTORS
from reasoning_tasks import EBT, TASKS, split_name

#: The first split is in distribution.
ID = "id"
OWN_BUDGET = "4T"
#: Whose figures stand for all, where only one is asked for.
_FIRST = "sudoku"


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Means and ranges over seeds."""
    rows = {name: runs for name, runs in rows.items() if "splits" in runs[0]}
    yield from _summary(rows)
    for name, runs in rows.items():
        task, model = split_name(name)
        for split in runs[0]["splits"]:
            yield from _split_figures(task, split, model, runs)
        yield from _energy_figures(name, runs)
        yield from _costs(name, runs)


def _split_figures(task: str, split: str, model: str, runs: Sequence[Row]) -> Iterator[Named]:
    unit = unit_of(task)
    named = f"{task}_{short(split)}_{model}"
    yield named, headline(task, split, model, runs), unit
    for budget in runs[0]["splits"][split]:
        yield f"{named}_{budget}", _at(task, split, budget, runs), unit
    for budget in _budgets(runs):
        nfe = over(runs, lambda row, b=budget: row["splits"][split][b]["nfe"])
        yield f"{named}_{budget}_nfe", nfe, "evaluations/problem"


def headline(task: str, split: str, model: str, runs: Sequence[Row]) -> Any:
    """What a model is judged by."""
    if model.startswith(EBT):
        return _at(task, split, OWN_BUDGET, runs)
    found = [_at(task, split, budget, runs) for budget in runs[0]["splits"][split]]
    return _best(found, task)


def unit_of(task: str) -> str:
    """Of a task's quality."""
    return "mean squared error" if TASKS[task].numbers else "share solved"


def short(split: str) -> str:
    """``easy`` is what is as in training."""
    return ID if split == "easy" else split


def _at(task: str, split: str, budget: str, runs: Sequence[Row]) -> Any:
    key = "loss" if TASKS[task].numbers else "solved"
    return over(runs, lambda row: row["splits"][split][budget][key])


def _budgets(runs: Sequence[Row]) -> list[str]:
    """Those of one candidate."""
    return [name for name in FACTORS if name in next(iter(runs[0]["splits"].values()))]


def _best(found: Sequence[Any], task: str) -> Any:
    pick = min if TASKS[task].numbers else max
    # What diverged is the worst of all.
    return pick(found, key=lambda one: one.value if one.value == one.value else _worst(task))


def _worst(task: str) -> float:
    return float("inf") if TASKS[task].numbers else float("-inf")


def _energy_figures(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    """Energies as judges, and stopping by itself."""
    if "energy" not in runs[0]:
        return
    task, model = split_name(name)
    for split in runs[0]["energy"]:
        for key in ("auroc", "loss_rank"):
            measured = over(runs, lambda row, s=split, k=key: row["energy"][s][k])
            yield f"{task}_{short(split)}_{model}_energy_{key}", measured, "1"
    if "adaptive" in runs[0]:
        for key in ("solved", "solved_longest", "nfe_ratio", "steps_difficulty_rank"):
            measured = over(runs, lambda row, k=key: row["adaptive"][k])
            yield f"{name}_adaptive_{key}", measured, "1"


def _costs(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    units = {
        "parameters": "parameters",
        "steps": "optimiser steps",
        "training_s": "s",
        "training_flops": "FLOP",
        "data_made_s": "s",
    }
    for key, unit in units.items():
        yield f"{name}_{key}", over(runs, lambda row, k=key: row[k]), unit


def _summary(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """The few figures that the comparison is about."""
    own = rows.get(f"{_FIRST}_{EBT}")
    if own:
        plain = {"nfe_ratio": "adaptive_nfe_ratio", "steps_difficulty_rank": None}
        for key, named in plain.items():
            yield named or key, over(own, lambda row, k=key: row["adaptive"][k]), "1"
        yield "verifier_auroc", over(own, lambda row: row["energy"]["hard"]["auroc"]), "1"
    compared = {task: _rivals(task, rows) for task in TASKS}
    compared = {task: rivals for task, rivals in compared.items() if rivals}
    if compared:
        won = sum(_wins(task, rivals, rows) for task, rivals in compared.items())
        yield "tasks_where_ebt_is_best_on_hard", float(won), f"tasks of {len(compared)}"


def _rivals(task: str, rows: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """Everything else that was trained on a task which the energy model was trained on too."""
    if f"{task}_{EBT}" not in rows:
        return {}
    found = {
        split_name(name)[1]: runs for name, runs in rows.items() if split_name(name)[0] == task
    }
    return {model: runs for model, runs in found.items() if model != EBT}


def _wins(task: str, rivals: Mapping[str, list[Row]], rows: Mapping[str, list[Row]]) -> bool:
    """Is the energy model's mean on the hard split better than every rival's?"""
    own = headline(task, "hard", EBT, rows[f"{task}_{EBT}"]).value
    others = [headline(task, "hard", model, runs).value for model, runs in rivals.items()]
    return all(own < one if TASKS[task].numbers else own > one for one in others)
