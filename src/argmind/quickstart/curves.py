"""The learning curves of a run, read from the files it wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from argmind.eval.curves import seconds_at
from argmind.report.data import Curve


def learning_curves(run: Path, model: str, seen_per_step: int, metric: str) -> list[Curve]:
    """A loss on training batches and on held-out data, against data seen and seconds of training.

    Where a training line does not have the metric, its loss is meant.
    """
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    # The loss may hold more than the task (the start's loss, say); the metric never does.
    training = [(line, line.get(metric, line["loss"])) for line in _of(lines, "train")]
    held_out = [(line, line[metric]) for line in _of(lines, "evaluation")]
    named: list[tuple[Any, Any]] = [("training", training), ("held-out", held_out)]
    return [_curve(run, model, split, pairs, seen_per_step) for split, pairs in named]


def _of(lines: Sequence[Mapping[str, Any]], split: str) -> list[Mapping[str, Any]]:
    return [line for line in lines if line["split"] == split]


def _curve(
    run: Path,
    model: str,
    split: Any,
    pairs: Sequence[tuple[Mapping[str, Any], float | None]],
    seen_per_step: int,
) -> Curve:
    known = [(line["step"], loss) for line, loss in pairs if loss is not None]
    steps = np.array([step for step, _ in known], float)
    return Curve(
        model=model,
        split=split,
        seen=(steps * seen_per_step).tolist(),
        seconds=seconds_at(run, steps).tolist(),
        losses=[loss for _, loss in known],
    )
