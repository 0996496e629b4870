"""The learning curves of a run, read from the files it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from argmind.eval.curves import read_curve, seconds_at
from argmind.report.data import Curve


def learning_curves(run: Path, model: str, tokens_per_step: int) -> list[Curve]:
    """Loss on training batches and on held-out data, against tokens and seconds of training."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    logged = [line for line in map(json.loads, lines) if line["split"] == "train"]
    logged = [line for line in logged if line.get("nats", line["loss"]) is not None]
    steps = np.array([line["step"] for line in logged], float)
    held_out = read_curve(run, tokens_per_step, 0.0)
    return [
        Curve(
            model=model,
            split="training",
            tokens=(steps * tokens_per_step).tolist(),
            seconds=seconds_at(run, steps).tolist(),
            # The loss may hold more than the task (the start's loss, say); "nats" never does.
            nats=[line.get("nats", line["loss"]) for line in logged],
        ),
        Curve(
            model=model,
            split="held-out",
            tokens=held_out.tokens.tolist(),
            seconds=held_out.seconds.tolist(),
            nats=held_out.nats.tolist(),
        ),
    ]
