"""Measure any predictor on held-out batches at any budget, prediction by prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget
from argmind.train.seeds import seed_for

Array = NDArray[Any]


@dataclass(frozen=True)
class Evaluation:
    """One row per sample, one column per prediction of it, except for ``seconds`` in all.

    ``losses`` is the task loss (text: nats per token); ``scores`` the predictor's further measures;
    ``energies`` what it itself says of its answer; ``nfe`` energy-gradient evaluations, all
    candidates together.
    """

    losses: Array
    energies: Array
    steps: Array
    nfe: Array
    diverged: Array
    seconds: float
    scores: Mapping[str, Array] = field(default_factory=dict)

    @property
    def ms_per_prediction(self) -> float:
        """Wall-clock milliseconds per prediction, encoding the context included."""
        return 1e3 * self.seconds / max(1, self.losses.size)


def evaluate(
    predictor: Predictor,
    batches: Iterable[dict[str, Tensor]],
    budget: Budget,
    *,
    seed: int = 0,
    precision: str = "fp32",
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Predict every batch within the budget and compare with its targets.

    Args:
        seed: of the thinking's own draws; batch i draws from a generator of its own.
        precision: "fp32", or "bf16" for autocast.
        progress: called with the number of samples done so far.
    """
    device = next(predictor.parameters()).device
    rows: list[dict[str, Array]] = []
    seconds, done = 0.0, 0
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    for index, batch in enumerate(batches):
        generator = torch.Generator(device).manual_seed(seed_for(seed, 0, index))
        problem, target = predictor.task({name: x.to(device) for name, x in batch.items()})
        with torch.no_grad(), autocast:
            began = _now(device)
            prediction = predictor.predict(problem, budget, generator)
            seconds += _now(device) - began
            losses = predictor.loss(prediction.output, target)
            scores = predictor.scores(prediction.output, target)
        row = {
            "losses": losses,
            "energies": prediction.energy,
            "steps": prediction.steps,
            "nfe": prediction.nfe,
            "diverged": prediction.diverged,
            **{f"scores.{name}": values for name, values in scores.items()},
        }
        rows.append({name: _host(x) for name, x in row.items()})
        done += len(target)
        if progress is not None:
            progress(done)
    if not rows:
        raise ValueError("there is nothing to evaluate on")
    joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    scores = {name: joined.pop(name) for name in list(joined) if name.startswith("scores.")}
    named = {name.removeprefix("scores."): values for name, values in scores.items()}
    return Evaluation(**joined, seconds=seconds, scores=named)


def _host(x: Tensor) -> Array:
    return x.double().cpu().numpy() if x.is_floating_point() else x.cpu().numpy()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
