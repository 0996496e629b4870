"""What ``argmind compare`` knows of every run, and what stands between two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from argmind.assembly import build_objective
from argmind.cli._measure import plain_interval, plain_row
from argmind.eval.budgets import MeasuredText
from argmind.eval.curves import Axis, HeldOutCurve, largest_common, read_curve, seconds_at
from argmind.eval.statistics import Interval, verdict
from argmind.text.run import TextRun

#: Parameters that differ by more than this share are not called equal.
EQUAL_PARAMETERS = 0.03
#: Two costs within this share of one another are one.
_SAME_COST = 0.005


@dataclass(frozen=True)
class Contender:
    """A run that is compared, with what it cost and what it reached."""

    name: str
    run: TextRun
    rows: list[MeasuredText]
    curve: HeldOutCurve
    costs: dict[Axis, float]  # of the checkpoint that was measured

    @property
    def trained(self) -> MeasuredText:
        """Its row as trained: the trained steps and one candidate, or else the first."""
        steps = self.run.predictor.trained_steps
        as_trained = (r for r in self.rows if r.steps == steps and r.budget.candidates == 1)
        return next(as_trained, self.rows[0])

    def plain(self, reference: Contender | None) -> dict[str, Any]:
        """For ``--json``; differences from ``reference`` if it was measured on the same samples."""
        rows = [plain_row(row) for row in self.rows]
        if reference is not None:
            for plain, row in zip(rows, self.rows, strict=True):
                if row is reference.trained:
                    continue
                difference = row.minus(reference.trained)
                plain["difference"] = plain_interval(difference)
                plain["verdict"] = verdict(difference, 0.0)
        return {
            "run": self.name,
            "step": self.run.run.step,
            "parameters": self.run.run.parameters,
            "tokens": self.costs["tokens"],
            "training_flops": self.costs["flops"],
            "training_seconds": self.costs["seconds"],
            "rows": rows,
        }


def contender(run: TextRun, rows: list[MeasuredText]) -> Contender:
    """A run with what it cost up to the checkpoint that was measured."""
    recipe, step = run.run.recipe, run.run.step
    tokens = recipe.training.batch_size * run.context_tokens
    batch = torch.zeros(recipe.training.batch_size, run.context_tokens + 1, dtype=torch.long)
    flops = build_objective(recipe, run.predictor).training_flops({"tokens": batch})
    folder = run.run.folder
    costs: dict[Axis, float] = {
        "tokens": float(step * tokens),
        "flops": step * flops,
        "seconds": float(seconds_at(folder, np.array([step]))[0]),
    }
    return Contender(str(folder), run, rows, read_curve(folder, tokens, flops), costs)


def at_equal(axis: Axis, runs: Sequence[Contender]) -> dict[str, Any]:
    """Held-out nats of every run at the largest cost they have in common, and their differences.

    Where all measured checkpoints stand at one cost, these are the measured figures with paired
    intervals; else they are read off the curves of training, without intervals; where
    those have no cost in common, there are none.
    """
    costs = [run.costs[axis] for run in runs]
    if np.isfinite(costs).all() and max(costs) <= (1 + _SAME_COST) * min(costs):
        nats = {run.name: run.trained.nats.value for run in runs}
        return _compared(
            max(costs), "measured", nats, lambda run: run.trained.minus(runs[0].trained), runs
        )
    place = largest_common([run.curve for run in runs], axis)
    if place is None:
        return {"at": None}
    nats = {run.name: run.curve.at(axis, place) for run in runs}
    first = nats[runs[0].name]
    return _compared(
        place, "training curves", nats, lambda run: Interval(nats[run.name] - first), runs
    )


def _compared(
    place: float,
    source: str,
    nats: dict[str, float],
    difference: Callable[[Contender], Interval],
    runs: Sequence[Contender],
) -> dict[str, Any]:
    against = {run.name: difference(run) for run in runs[1:]}
    return {
        "at": place,
        "from": source,
        "nats_per_token": nats,
        "difference": {name: plain_interval(interval) for name, interval in against.items()},
        "verdict": {name: verdict(interval, 0.0) for name, interval in against.items()},
    }


def parameter_ratios(runs: Sequence[Contender]) -> dict[str, float]:
    """Parameters of every other run over those of the first."""
    first = runs[0].run.run.parameters
    return {run.name: run.run.run.parameters / first for run in runs[1:]}
