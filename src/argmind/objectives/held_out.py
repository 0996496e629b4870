"""Held-out measures after every step of a thought, or turn of a rival."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from argmind.predictors.base import Prediction
from argmind.thinking.budget import Budget


@torch.no_grad()
def of_every_step(
    predictor: Any,
    batch: dict[str, Tensor],
    generator: torch.Generator,
    metric: str,
    average: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Prediction, dict[str, Tensor]]:
    """A prediction, and its loss and scores: of every step under ``…_step_k``, of the last as such.

    ``average(values, target)`` is over the predictions that count.
    """
    problem, target = predictor.task(batch)
    prediction = predictor.predict(problem, Budget(trace=True), generator)
    assert prediction.trace is not None  # asked for
    metrics: dict[str, Tensor] = {}
    for step, output in enumerate(prediction.trace.outputs):
        named = {metric: predictor.loss(output, target)}
        for name, values in (named | predictor.scores(output, target)).items():
            metrics[f"{name}_step_{step}"] = metrics[name] = average(values, target)
    return prediction, metrics
