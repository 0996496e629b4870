"""Scores that are worked out of what was measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from argmind.eval.budgets import Measured, squared_errors, with_errors
from argmind.eval.evaluate import Evaluation
from argmind.eval.statistics import Interval
from argmind.spaces.image import psnr
from argmind.thinking.budget import Budget


def test_errors_are_the_mean_squares_that_decibels_are_made_of() -> None:
    generator = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 5, 3, 1, 4, 4, generator=generator, dtype=torch.float64)
    want = (output - target).square().flatten(2).mean(2).numpy()
    nothing = np.zeros_like(want)
    result = Evaluation(
        losses=want / 2,
        energies=nothing,
        steps=nothing,
        nfe=nothing,
        diverged=nothing,
        seconds=1.0,
        scores={"psnr": psnr(output, target).numpy()},
    )
    np.testing.assert_allclose(squared_errors(result), want)
    row = Measured(
        budget=Budget(),
        steps=0,
        loss=Interval(0.0),
        scores={"psnr": Interval(1.0)},
        energy=Interval(0.0),
        nfe=1.0,
        ms_per_prediction=1.0,
        diverged=0,
        evaluation=result,
    )
    (judged,) = with_errors([row])
    assert judged.scores["psnr"] == Interval(1.0)
    assert judged.scores["error"].value == pytest.approx(want.mean())
    assert judged.minus_score("error", judged) == Interval(0.0, 0.0, 0.0)
    assert "error" not in row.scores
