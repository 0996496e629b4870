"""What the denoisers do on held-out images: budgets at two noise levels, and pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from argmind.data.base import Batch
from argmind.data.datasets.images import pixels_of
from argmind.eval.budgets import Measured, measure
from argmind.eval.evaluate import evaluate
from argmind.image.run import ImageRun, load_image_run
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.image_findings import ImageFindings, Level
from argmind.quickstart.pace import Clock
from argmind.quickstart.screen import Screen
from argmind.report.pictures import Picture, PictureTable
from argmind.spaces.image import psnr
from argmind.thinking.budget import Budget

STEPS = (0, 1, 2, 3, 4, 8, 12)
CANDIDATES = (4, 16)
DIFFUSION_STEPS = (1, 2, 4, 10, 50, 100)
DDPM_STEPS = (10, 50, 100)
PICTURED_STEPS = (1, 10, 100)
#: Out of distribution: noise of this many times the trained std.
_FACTOR = 2.0
#: Held-out images predicted together, and the least that are measured at all.
_BATCH = 32
_PICTURES = 6


@dataclass(frozen=True)
class Series:
    """One model at several budgets; ``sampler``: of a diffusion model."""

    label: str
    run: ImageRun
    budgets: Sequence[Budget]
    sampler: str | None = None

    def prepare(self) -> None:
        """Choose the sampler."""
        if self.sampler is not None:
            self.run.predictor.sampler = self.sampler


class ImageStudy:
    """All models at their last step, and the held-out images they are measured on."""

    def __init__(self, trained: Trained, screen: Screen) -> None:
        self.trained, self.screen = trained, screen
        # The last step, not the best: what all were at after the same data.
        runs = [load_image_run(one.folder, which="last") for one in trained.contenders]
        self.ebt, self.dit, self.regression = runs
        self.labels = [one.label for one in trained.contenders]
        self.trained_steps = trained.thinker.recipe.thinking.steps
        self.seed = trained.seed

    def run(self, clock: Clock, data: str) -> Study:
        """Measure as many held-out images as there is time for, then picture some."""
        series = self._series()
        config: Any = self.trained.thinker.recipe.data
        stds = [config.task.level, _FACTOR * config.task.level]
        count = self._count(clock.study_s / len(stds), series)
        names = ("the trained noise", f"{_FACTOR:g}× the trained noise")
        levels: list[Level] = []
        pictures: list[PictureTable] = []
        for name, std in zip(names, stds, strict=True):
            batches = self._batches(std, count)
            given = np.concatenate([psnr(b["given"], b["clean"]).numpy() for b in batches])
            levels.append(Level(name, std, given, self._measured(series, batches, name)))
            pictures.append(self._pictures(batches[0], name))
        findings = ImageFindings(
            trained=self.trained,
            labels=self.labels,
            data=data,
            trained_steps=self.trained_steps,
            levels=levels,
            pictures=pictures,
        )
        return findings.study(clock.phases_s)

    # -------------------------------------------------------------- budgets

    def _series(self) -> list[Series]:
        trained = self.trained_steps
        steps = sorted({*STEPS, trained, 4 * trained})
        thinking = [Budget(steps=count) for count in steps]
        several = [Budget(steps=trained, candidates=count) for count in CANDIDATES]
        ddim, ddpm = (
            [Budget(steps=count) for count in counts] for counts in (DIFFUSION_STEPS, DDPM_STEPS)
        )
        return [
            Series(self.labels[0], self.ebt, [*thinking, *several]),
            Series(self.labels[1], self.dit, ddim, "ddim"),
            Series(f"{self.labels[1]}, DDPM", self.dit, ddpm, "ddpm"),
            Series(self.labels[2], self.regression, [Budget()]),
        ]

    def _batches(self, std: float, count: int) -> list[Batch]:
        """The same held-out images, and the same noise scaled."""
        config: Any = self.trained.thinker.recipe.data
        data = replace(config, task=replace(config.task, level=std)).build(seed=self.seed)
        return list(data.evaluation(_BATCH, count))

    def _count(self, for_s: float, series: Sequence[Series]) -> int:
        """Held-out images that all budgets can be measured on in this time."""
        first = list(self.trained.data.evaluation(_BATCH, _BATCH))
        per_image_s = 0.0
        for one in series:
            one.prepare()
            probe = min(one.budgets, key=_cost)
            evaluate(one.run.predictor, first, probe, seed=self.seed)
            began_s = time.perf_counter()
            evaluate(one.run.predictor, first, probe, seed=self.seed)
            unit_s = (time.perf_counter() - began_s) / len(first[0]["clean"]) / _cost(probe)
            per_image_s += unit_s * sum(map(_cost, one.budgets))
        return max(_BATCH, int(for_s / per_image_s))

    def _measured(
        self, series: Sequence[Series], batches: list[Batch], level: str
    ) -> dict[str, list[Measured]]:
        images = sum(len(batch["clean"]) for batch in batches)
        costs = [_cost(budget) for one in series for budget in one.budgets]
        rows: dict[str, list[Measured]] = {}
        with self.screen.counting(f"denoising, {level}", 100) as tell:
            for one in series:
                before = sum(len(measured) for measured in rows.values())

                def report(index: int, samples: int, one: Series = one, before: int = before):
                    place = before + index
                    done = sum(costs[:place]) + costs[place] * samples / images
                    tell(int(100 * done / sum(costs)), f"{one.label}, {images} images")

                one.prepare()
                rows[one.label] = measure(
                    one.run.predictor, batches, one.budgets, seed=self.seed, progress=report
                )
        return rows

    # -------------------------------------------------------------- pictures

    def _pictures(self, batch: Batch, level: str) -> PictureTable:
        """The first held-out images: given, after each step, clean, and what the rivals make."""
        few = {name: tensor[:_PICTURES] for name, tensor in batch.items()}
        longest = 4 * self.trained_steps
        thought = self.ebt.predict(few, Budget(steps=longest, trace=True), seed=self.seed)
        assert thought.trace is not None  # asked for
        ebt, dit, regression = self.labels
        steps = [*range(1, self.trained_steps + 1), longest]
        columns = {"noisy": few["given"]}
        columns |= {f"{ebt}, {count}": thought.trace.outputs[count] for count in steps}
        columns["clean"] = few["clean"]
        self.dit.predictor.sampler = "ddim"
        for count in PICTURED_STEPS:
            told = self.dit.predict(few, Budget(steps=count), seed=self.seed)
            columns[f"{dit}, {count}"] = told.output
        columns[regression] = self.regression.predict(few, seed=self.seed).output
        rows = [
            [_picture(name, images[row], few["clean"][row]) for name, images in columns.items()]
            for row in range(len(few["clean"]))
        ]
        return PictureTable(
            header=list(columns),
            labels=[str(number + 1) for number in range(len(rows))],
            rows=rows,
            caption=f"The first held-out digits at {level}, not chosen: as given, after so many "
            f"thinking steps of {ebt} (trained with {self.trained_steps}), as they should be, "
            f"after so many steps of {dit}, and in one pass of {regression}. Numbers are dB.",
        )


def _picture(name: str, image: Tensor, clean: Tensor) -> Picture:
    note = "" if name == "clean" else f"{float(psnr(image.cpu(), clean)):.1f}"
    return Picture(pixels_of(image), name, note)


def _cost(budget: Budget) -> float:
    """In passes for one candidate; the last energy counts too."""
    return budget.candidates * ((budget.steps or 0) + 0.5)
