"""What ``argmind compare`` knows of every run, and what stands between them at equal cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from torch import Tensor

from argmind.assembly import build_objective
from argmind.cli._measure import plain_interval
from argmind.eval.budgets import Measured
from argmind.eval.curves import Axis, HeldOutCurve, largest_common, read_curve, seconds_at
from argmind.eval.statistics import Interval, verdict
from argmind.runs import LoadedRun

#: Parameters that differ by more than this share are not called equal.
EQUAL_PARAMETERS = 0.03
#: What the costs that runs can be equal in are called.
AXES: Mapping[Axis, str] = {"data": "data", "flops": "FLOPs", "seconds": "time"}
#: Two costs within this share of one another are one.
_SAME_COST = 0.005


@dataclass(frozen=True, kw_only=True)
class Measure:
    """The figure that runs are compared by."""

    key: str  # in JSON
    unit: str
    logged: str  # in the metrics of a run
    value: Callable[[Measured], Interval]
    minus: Callable[[Measured, Measured], Interval]
    more_is_better: bool = False
    digits: int = 4

    def verdict(self, difference: Interval) -> str:
        """What a difference from the first run says."""
        return verdict(_negated(difference) if self.more_is_better else difference, 0.0)

    def against(self, row: Measured, reference: Measured) -> tuple[dict[str, Any], str]:
        """The difference of a row from another, for JSON, and what it says."""
        difference = self.minus(row, reference)
        return plain_interval(difference), self.verdict(difference)


def _negated(interval: Interval) -> Interval:
    low = None if interval.high is None else -interval.high
    high = None if interval.low is None else -interval.low
    return Interval(-interval.value, low, high)


@dataclass(frozen=True)
class Contender:
    """A run that is compared, with what it cost and what it reached."""

    name: str
    run: LoadedRun
    rows: Sequence[Measured]
    curve: HeldOutCurve
    costs: dict[Axis, float]  # of the checkpoint that was measured

    @property
    def trained(self) -> Measured:
        """Its row as trained: the trained steps and one candidate, or else the first."""
        steps = self.run.predictor.trained_steps
        as_trained = (r for r in self.rows if r.steps == steps and r.budget.candidates == 1)
        return next(as_trained, self.rows[0])


def contender(
    run: LoadedRun,
    rows: Sequence[Measured],
    measure: Measure,
    blank: dict[str, Tensor],
    data_per_step: float,
) -> Contender:
    """A run with what it cost up to the checkpoint that was measured.

    ``blank``: a batch as large as a training step's; ``data_per_step``: what that counts as.
    """
    flops, step = build_objective(run.recipe, run.predictor).training_flops(blank), run.step
    costs: dict[Axis, float] = {
        "data": float(step * data_per_step),
        "flops": step * flops,
        "seconds": float(seconds_at(run.folder, np.array([step]))[0]),
    }
    curve = read_curve(run.folder, measure.logged, data_per_step, flops)
    return Contender(str(run.folder), run, rows, curve, costs)


# ------------------------------------------------------------------ at equal cost


def at_equal_costs(measure: Measure, runs: Sequence[Contender]) -> dict[str, Any]:
    """For ``--json``: ``equal_data``, ``equal_flops`` and ``equal_time``."""
    return {f"equal_{name.lower()}": _at_equal(axis, measure, runs) for axis, name in AXES.items()}


def _at_equal(axis: Axis, measure: Measure, runs: Sequence[Contender]) -> dict[str, Any]:
    """Every run at the largest cost they have in common, and their differences.

    Where all measured checkpoints stand at one cost, these are the measured figures with paired
    intervals; else they are read off the curves of training, without intervals; where
    those have no cost in common, there are none.
    """
    costs, reference = [run.costs[axis] for run in runs], runs[0].trained
    if np.isfinite(costs).all() and max(costs) <= (1 + _SAME_COST) * min(costs):
        values = {run.name: measure.value(run.trained).value for run in runs}
        apart = {run.name: measure.minus(run.trained, reference) for run in runs[1:]}
        return _compared(measure, max(costs), "measured", values, apart)
    place = largest_common([run.curve for run in runs], axis)
    if place is None:
        return {"at": None}
    values = {run.name: run.curve.at(axis, place) for run in runs}
    first = values[runs[0].name]
    apart = {run.name: Interval(values[run.name] - first) for run in runs[1:]}
    return _compared(measure, place, "training curves", values, apart)


def _compared(
    measure: Measure,
    place: float,
    source: str,
    values: dict[str, float],
    apart: dict[str, Interval],
) -> dict[str, Any]:
    return {
        "at": place,
        "from": source,
        measure.key: values,
        "difference": {name: plain_interval(interval) for name, interval in apart.items()},
        "verdict": {name: measure.verdict(interval) for name, interval in apart.items()},
    }


def parameter_ratios(runs: Sequence[Contender]) -> dict[str, float]:
    """Parameters of every other run over those of the first."""
    first = runs[0].run.parameters
    return {run.name: run.run.parameters / first for run in runs[1:]}


# ------------------------------------------------------------------ words


def notes_on_parameters(plain: dict[str, Any]) -> list[str]:
    """What to know where parameters are not equal."""
    return [
        f"{name} has {ratio:.2f} times the parameters of {plain['reference']}: not equal."
        for name, ratio in plain["equal_parameters"]["ratio"].items()
        if abs(ratio - 1) > EQUAL_PARAMETERS
    ]


def notes_on_curves(plain: dict[str, Any]) -> list[str]:
    """What to know of figures at equal cost, and why there are none."""
    found = {name: plain[f"equal_{name.lower()}"] for name in AXES.values()}
    notes = [
        f"the held-out curves of these runs have no {name} in common: train the cheaper run for "
        "longer, or evaluate the other one more often (training.eval_every)."
        for name, equal in found.items()
        if equal["at"] is None
    ]
    if any(equal.get("from") == "training curves" for equal in found.values()):
        notes.append(
            "figures from training curves were taken along the way: a run planned to end there, "
            "with its learning rate brought down, would have done better."
        )
    return notes


def equal_table(plain: dict[str, Any], measure: Measure) -> Table:
    """All runs at equal data, FLOPs, time and parameters."""
    title = f"held-out {measure.unit} at equal cost, as trained; {plain['reference']} first"
    heads = ("equal", "at", "run", measure.unit, "difference", "verdict", "from")
    table = plain_table(title, *heads)
    for name in AXES.values():
        found = plain[f"equal_{name.lower()}"]
        if found["at"] is None:
            table.add_row(name, "–")
            continue
        for label, value in found[measure.key].items():
            against = found["difference"].get(label)
            table.add_row(
                name,
                f"{found['at']:.4g}",
                label,
                f"{value:.{measure.digits}f}",
                told_difference(against, measure.digits) if against else "",
                found["verdict"].get(label, ""),
                found["from"],
            )
    for label, ratio in plain["equal_parameters"]["ratio"].items():
        table.add_row("parameters", f"× {ratio:.3f}", label, "", "", "", "")
    return table


def told_difference(plain: dict[str, float | None], digits: int = 4) -> str:
    """With its range on a second line."""
    text = f"{plain['value']:+.{digits}f}"
    if plain["low"] is None:
        return text
    return f"{text}\n{plain['low']:+.{digits - 1}f} … {plain['high']:+.{digits - 1}f}"


def plain_table(title: str, *heads: str) -> Table:
    """A table with words to the left and numbers to the right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for head in heads:
        words = head in ("run", "verdict", "equal", "from")
        table.add_column(head, justify="left" if words else "right")
    return table
