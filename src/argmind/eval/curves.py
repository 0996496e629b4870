"""What held-out data said along the training of a run, read back from its files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Axis = Literal["data", "flops", "seconds"]


@dataclass(frozen=True)
class HeldOutCurve:
    """A measure of held-out data at growing cost: data seen, training FLOPs, training seconds."""

    values: Array
    data: Array
    flops: Array
    seconds: Array

    def along(self, axis: Axis) -> Array:
        """The cost of each point."""
        return getattr(self, axis)

    def at(self, axis: Axis, cost: float) -> float:
        """The value at a cost between the first and the last point, linear in its logarithm."""
        return float(np.interp(math.log(cost), np.log(self.along(axis)), self.values))


def read_curve(
    run: Path, measure: str, data_per_step: float, flops_per_step: float
) -> HeldOutCurve:
    """The curve of a run folder; empty where this was not measured."""
    points = [
        (line["step"], line[measure])
        for line in _lines(run / "metrics.jsonl")
        if line["split"] == "evaluation" and line.get(measure) is not None
    ]
    steps, values = np.array(points, float).reshape(-1, 2).T
    return HeldOutCurve(
        values=values,
        data=steps * data_per_step,
        flops=steps * flops_per_step,
        seconds=seconds_at(run, steps),
    )


def seconds_at(run: Path, steps: Array) -> Array:
    """Training time up to each step, evaluation and saving left out; NaN where unknown."""
    timing = _lines(run / "timing.jsonl")
    if not timing:
        return np.full(len(steps), np.nan)
    known = [line["step"] for line in timing]
    return np.interp(steps, [0, *known], [0.0, *(line["elapsed_s"] for line in timing)])


def largest_common(curves: Sequence[HeldOutCurve], axis: Axis) -> float | None:
    """The largest cost that lies on all curves; None where they do not overlap."""
    costs = [curve.along(axis) for curve in curves]
    if not all(len(cost) and np.isfinite(cost).all() for cost in costs):
        return None
    place = min(float(cost[-1]) for cost in costs)
    return place if place >= max(float(cost[0]) for cost in costs) else None


def _lines(path: Path) -> list[Mapping[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
