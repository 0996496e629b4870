"""Answers to whole problems, measured: images, frames, boards, chunks of actions."""

from __future__ import annotations

from typing import Any

import torch

from argmind.bench.ceilings import Ceilings
from argmind.bench.decoding import Asked
from argmind.bench.rows import Row
from argmind.bench.subject import Setting
from argmind.bench.timing import Peak, in_turns
from argmind.recipes.base import Recipe
from argmind.thinking.budget import Budget

_WARM_UPS = 2


class Answering:
    """One model answering a batch of problems."""

    def __init__(self, setting: Setting, recipe: Recipe, asked: Asked) -> None:
        self.setting, self.recipe = setting, recipe
        self.device = setting.torch_device
        self.peak = Peak(self.device)
        material = setting.material(recipe)
        self.model = setting.model(recipe, material.inputs).eval()
        self.budget = asked.budget() if self.model.thinks else Budget()
        self._problem, _ = self.model.task(material.batch)
        self._generator = torch.Generator(self.device)
        self._predictions = 0

    def answer(self) -> None:
        """Answer all problems of the batch."""
        self._generator.manual_seed(self.setting.seed)
        precise = self.setting.precision != "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=not precise):
            found = self.model.predict(self._problem, self.budget, self._generator)
        self._predictions = found.energy.numel()

    def row(self, ceilings: Ceilings, times: list[float], peak_bytes: int | None) -> Row:
        """What was measured of a batch."""
        problems, length = self.model.extent(self._problem)
        details: dict[str, Any] = {"candidates": self.budget.candidates if self.model.thinks else 1}
        return Row.of(
            what="predict",
            model=self.recipe.name,
            times=times,
            predictions=self._predictions,
            flops=problems * self.model.prediction_flops(length, self.budget),
            moved_bytes=None,
            peak_bytes=peak_bytes,
            ceilings=ceilings,
            parameters=sum(weight.numel() for weight in self.model.parameters()),
            details=details,
        )


def measure_answering(
    setting: Setting, subjects: list[tuple[Recipe, Asked]], ceilings: Ceilings
) -> tuple[list[Row], list[list[float]]]:
    """A row for every subject, their batches answered in turns; and the ms of each round."""
    works = {str(index): Answering(setting, *subject) for index, subject in enumerate(subjects)}
    peaks: dict[str, int | None] = {}
    for name, work in works.items():
        peaks[name] = work.peak.of(work.answer)
        for _ in range(_WARM_UPS):
            work.answer()
    answers = {name: work.answer for name, work in works.items()}
    with setting.alone():
        times = in_turns(answers, setting.repeats, setting.torch_device)
    rows = [work.row(ceilings, times[name], peaks[name]) for name, work in works.items()]
    return rows, list(times.values())
