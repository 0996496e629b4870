"""Stops whose tolerance fits the model: energies have no unit, so no number suits them all."""

from __future__ import annotations

from typing import Any

from argmind.config import PartConfig, part_config
from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget


def typical_change(predictor: Predictor, problem: Any) -> float:
    """Median change of energy in the first step on a batch; 0 where none is finite."""
    trace = predictor.predict(problem, Budget(steps=1, trace=True)).trace
    assert trace is not None  # asked for
    change = (trace.energies[1] - trace.energies[0]).abs()
    return float(change[change.isfinite()].median()) if bool(change.isfinite().any()) else 0.0


def plateau_stop(predictor: Predictor, problem: Any, share: float = 0.1) -> PartConfig:
    """Stop where a step changes the energy by less than this share of the typical first change."""
    return part_config("stop", "plateau", tolerance=share * typical_change(predictor, problem))
