"""Training steps, measured: forward and backward, and the optimiser by itself."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from argmind.assembly import build_objective
from argmind.bench.ceilings import Ceilings
from argmind.bench.floors import training_bytes
from argmind.bench.rows import Row
from argmind.bench.subject import Setting, estimated, reads_text
from argmind.bench.timing import Peak, in_turns, is_out_of_memory, median, timed
from argmind.recipes.base import Recipe
from argmind.train.compiling import recorded
from argmind.train.optimizer import NamedAdamW
from argmind.train.work import Recorded, Work

#: Untimed steps: compiling, allocating, choosing kernels.
_WARM_UPS = 3


class Training:
    """One model's training step."""

    def __init__(self, setting: Setting, recipe: Recipe) -> None:
        self.setting, self.recipe = setting, recipe
        self.device = setting.torch_device
        self.peak = Peak(self.device)
        material = setting.material(recipe)
        model = setting.model(recipe, material.inputs)
        self.objective: Any = build_objective(recipe, model).train()
        self.compiled = _compiles(setting) and bool(self.objective.stages)
        if self.compiled:
            for stage in self.objective.stages:
                stage.compile()
        self.work = Work(self.objective, setting.precision, self.device)
        self._optimizer = NamedAdamW(self.objective.predictor, recipe.optimizer)
        self._batch = material.batch
        self._predictions = 0
        self._generator = torch.Generator(self.device)

    def record(self) -> None:
        """Replay the step as one CUDA graph from now on, as training does, where that can be."""
        if _compiles(self.setting):
            given = (self.objective, self.work, self._batch, self._generator, 1)
            self.work = recorded(*given, say=partial(print, file=sys.stderr))

    def step(self) -> Tensor:
        """Forward and backward; the loss."""
        self.work.zero_gradients()
        self._generator.manual_seed(self.setting.seed)
        loss = self.work(self._batch, self._generator, 1)
        self._predictions = loss.predictions
        return loss.value.detach()

    def update(self) -> None:
        """The optimiser's step on the gradients of the last one."""
        self._optimizer.step_unless(torch.zeros((), device=self.device))

    def row(self, ceilings: Ceilings, times: list[float], peak_bytes: int | None) -> Row:
        """What was measured, and how far it is from the floors."""
        setting, objective = self.setting, self.objective
        steps = self.recipe.thinking.steps
        moved = (
            training_bytes(objective.predictor, setting.rows, steps, setting.precision)
            if reads_text(self.recipe)
            else None
        )
        return Row.of(
            what="train",
            model=self.recipe.name,
            times=times,
            predictions=self._predictions,
            flops=objective.training_flops(self._batch),
            moved_bytes=moved,
            peak_bytes=peak_bytes,
            ceilings=ceilings,
            parameters=sum(weight.numel() for weight in objective.predictor.parameters()),
            details={
                "optimizer_ms": median([timed(self.update, self.device) for _ in range(3)]).value,
                "compiled": self.compiled,
                "recorded": isinstance(self.work, Recorded),
            },
        )


@dataclass(frozen=True)
class _Started:
    training: Training
    peak_bytes: int | None


def measure_training(
    setting: Setting, recipes: list[Recipe], ceilings: Ceilings
) -> tuple[list[Row], dict[str, list[float]]]:
    """A row for every recipe, their steps timed in turns; and the times by recipe.

    A model for which there is not enough memory has a row that says so.
    """
    rows: list[Row] = []
    started: dict[str, _Started] = {}
    for recipe in recipes:
        estimate = estimated(setting, recipe) if reads_text(recipe) else None
        # A CPU's memory is everybody's: there it is not tried.
        if setting.torch_device.type == "cpu" and estimate is not None and not estimate.fits:
            rows.append(Row.out_of_memory("train", recipe.name, str(estimate)))
            continue
        try:
            started[recipe.name] = _start(setting, recipe)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            rows.append(Row.out_of_memory("train", recipe.name, str(estimate or "no size")))
        _release(setting.torch_device)
    works = {name: one.training.step for name, one in started.items()}
    with setting.alone():
        in_turns(works, 1, setting.torch_device)  # the device may have been idle until now
        times = in_turns(works, setting.repeats, setting.torch_device)
    for name, one in started.items():
        rows.append(one.training.row(ceilings, times[name], one.peak_bytes))
    return rows, times


def _start(setting: Setting, recipe: Recipe) -> _Started:
    training = Training(setting, recipe)

    def steps() -> None:
        for _ in range(_WARM_UPS):
            training.step()

    # The first steps: what a recorded one uses is set aside when it is recorded.
    peak_bytes = training.peak.of(steps)
    training.update()  # makes the moments, which no step's peak counts
    training.record()
    return _Started(training, peak_bytes)


def _compiles(setting: Setting) -> bool:
    if setting.compiled == "auto":
        return setting.torch_device.type == "cuda"
    return setting.compiled == "on"


def _release(device: torch.device) -> None:
    with contextlib.suppress(RuntimeError):
        if device.type == "cuda":
            torch.cuda.empty_cache()
