"""Thinking as long as there is time, and no longer."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from argmind.predictors.base import Prediction, Predictor
from argmind.predictors.ebt import EBT
from argmind.thinking.budget import Budget

#: With a deadline and a budget that names no steps, energy models think for up to so many.
DEADLINE_STEPS = 100
_LEAST_S = 1e-6


class Pace:
    """How long a model's steps take, and what fits into the time that is left.

    An energy model is stopped on its way, and answers with the best so far. A sampler's way is laid
    out for its end: it is given as many steps as there is time for.
    """

    def __init__(self, predictor: Predictor, device: torch.device) -> None:
        self._predictor, self._device = predictor, device
        self._stops_anywhere = isinstance(predictor, EBT)
        self._step_s: dict[int, float] = {}

    def now(self) -> float:
        """Seconds, once the device has done what it was given."""
        if self._device.type == "cuda":  # queued work takes no time until it is waited for
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def note(self, rows: int, seconds: float, prediction: Prediction) -> None:
        """Remember the time of a step on so many rows; a slow one for longer."""
        step_s = seconds / max(1, int(prediction.steps.max()))
        self._step_s[rows] = max(step_s, 0.9 * self._step_s.get(rows, 0.0))

    def forget(self) -> None:
        """As if nothing had been timed."""
        self._step_s.clear()

    def within(self, budget: Budget, left_s: float, rows: int) -> Budget:
        """A budget that is used up in the time left, as far as the time of a step is known."""
        step_s, steps = self._step_s.get(rows, 0.0), budget.steps
        if self._stops_anywhere:
            steps = DEADLINE_STEPS if steps is None else steps
            left_s -= 2 * step_s  # for the step begun last, and the energy of the answer
        elif step_s and self._predictor.thinks:
            asked = self._predictor.trained_steps if steps is None else steps
            steps = min(asked, max(1, int(left_s / step_s)))
        left_s = max(left_s, _LEAST_S)
        return replace(budget, steps=steps, deadline_s=left_s, trace=True, score=True)

    def answer(self, prediction: Prediction) -> Prediction:
        """With the candidate of least energy on the way of every row, its start left out."""
        if not self._stops_anywhere or prediction.trace is None:
            return prediction
        trace = prediction.trace
        energies = torch.stack(trace.energies[1:] or trace.energies).nan_to_num(torch.inf)
        energy, best = energies.min(0)
        outputs = torch.stack(trace.outputs[1:] or trace.outputs)
        output = outputs[best, torch.arange(len(best), device=best.device)]
        return replace(prediction, output=output, energy=energy)
