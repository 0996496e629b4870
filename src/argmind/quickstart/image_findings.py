"""The measurements of denoisers as figures, a table, a page and plain words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text

from argmind.eval.budgets import Measured
from argmind.eval.results import Figure, Results
from argmind.eval.statistics import Interval, bootstrap, bootstrap_mean, spearman
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.curves import learning_curves
from argmind.quickstart.image_table import psnr_table
from argmind.quickstart.plain import plain_interval, unequal_compute
from argmind.report.data import Curve, Scores
from argmind.report.image import image_report
from argmind.report.image_data import ImageReport, ImageRow, NoiseLevel
from argmind.report.image_limits import comparison, limits
from argmind.report.pictures import PictureTable

PSNR = "psnr"
_DB = "dB"
#: Enough for the ends of a 95 % interval of a rank correlation, which is slow to compute.
_RESAMPLES = 300
#: How figures of the two noise levels are called: in distribution, and out of it.
_SHORT = ("id", "ood")


@dataclass(frozen=True)
class Level:
    """One noise level: PSNR of the noisy images, and every series' rows."""

    name: str
    std: float
    given: NDArray[Any]
    rows: Mapping[str, Sequence[Measured]]

    def at(self, label: str, steps: int, candidates: int = 1) -> Measured:
        """The row of this budget."""
        return next(
            row
            for row in self.rows[label]
            if (row.steps, row.budget.candidates) == (steps, candidates)
        )

    def best(self, label: str) -> Measured:
        """The row of most PSNR; the cheapest of equals."""
        return max(self.rows[label], key=lambda row: (row.scores[PSNR].value, -row.nfe))


@dataclass(frozen=True, kw_only=True)
class ImageFindings:
    """Everything that was measured; ``labels`` of thinker, diffusion model and regression."""

    trained: Trained
    labels: Sequence[str]
    data: str
    trained_steps: int
    levels: Sequence[Level]
    pictures: Sequence[PictureTable]

    def study(self, phases_s: Mapping[str, float]) -> Study:
        """As the quickstart wants it."""
        return Study(
            figures=self.figures(),
            extra=self._extra(),
            shown=self.shown,
            page=lambda results: image_report(self.report(results, phases_s)),
            next_commands=self.next_commands(),
        )

    # -------------------------------------------------------------- figures

    def figures(self) -> dict[str, Figure]:
        """What ``results.json`` holds."""
        found: dict[str, Figure] = {}
        for short, level in zip(_SHORT, self.levels, strict=True):
            found |= self._level_figures(short, level)
        thinker, dit, regression = self.labels
        level = self.levels[0]
        nfe = "evaluations/image"
        found["nfe_ebt"] = Figure.of(level.at(thinker, self.trained_steps).nfe, nfe)
        found["nfe_dit"] = Figure.of(level.best(dit).nfe, nfe)
        found["nfe_regression"] = Figure.of(level.best(regression).nfe, nfe)
        found["thinking_4x_gain_db_ood"] = Figure.of(self._longer[1], _DB)
        return found

    def _level_figures(self, short: str, level: Level) -> dict[str, Figure]:
        thinker, dit, regression = self.labels
        trained = level.at(thinker, self.trained_steps)
        compared = {"ebt": trained, "dit": level.best(dit), "regression": level.best(regression)}
        found = {f"psnr_{short}_{key}": Figure.of(_psnr(row), _DB) for key, row in compared.items()}
        for key in ("dit", "regression"):
            difference = self._minus(trained, compared[key])
            found[f"psnr_{short}_ebt_minus_{key}"] = Figure.of(difference, _DB)
        single = [row for row in level.rows[thinker] if row.budget.candidates == 1]
        found[f"psnr_{short}_given"] = Figure.of(self._mean(level.given), _DB)
        found[f"psnr_{short}_ebt_by_step"] = Figure.series(list(map(_psnr, single)), _DB)
        found[f"psnr_{short}_dit_by_step"] = Figure.series(list(map(_psnr, level.rows[dit])), _DB)
        several = [row for row in level.rows[thinker] if row.budget.candidates > 1]
        gains = [self._minus(row, trained) for row in several]
        found[f"psnr_{short}_verification_gain"] = Figure.series(gains, _DB)
        found[f"energy_error_rank_correlation_{short}"] = Figure.of(self._correlation(trained), "1")
        return found

    def _minus(self, first: Measured, second: Measured) -> Interval:
        return first.minus_score(PSNR, second, self.trained.seed)

    def _mean(self, values: NDArray[Any]) -> Interval:
        return bootstrap_mean(values, np.random.default_rng(self.trained.seed))

    def _correlation(self, row: Measured) -> Interval:
        measured = row.evaluation
        return bootstrap(
            spearman,
            measured.energies.ravel(),
            measured.losses.ravel(),
            generator=np.random.default_rng(self.trained.seed),
            resamples=_RESAMPLES,
        )

    @cached_property
    def _longer(self) -> list[Interval]:
        return [self._between(self.trained_steps, 4 * self.trained_steps, x) for x in self.levels]

    def _between(self, few: int, many: int, level: Level) -> Interval:
        thinker = self.labels[0]
        return self._minus(level.at(thinker, many), level.at(thinker, few))

    def _extra(self) -> dict[str, Any]:
        first = self.levels[0].rows
        return {
            "trained_steps": self.trained_steps,
            "held_out_images": len(self.levels[0].given),
            "noise_std": {short: x.std for short, x in zip(_SHORT, self.levels, strict=True)},
            "steps_of_ebt_by_step": [
                row.steps for row in first[self.labels[0]] if row.budget.candidates == 1
            ],
            "steps_of_dit_by_step": [row.steps for row in first[self.labels[1]]],
            "candidates_of_verification_gain": [
                row.budget.candidates for row in first[self.labels[0]] if row.budget.candidates > 1
            ],
            "budgets": [
                _plain(row, short)
                for short, level in zip(_SHORT, self._noise_levels, strict=True)
                for row in level.rows
            ],
        }

    # -------------------------------------------------------------- words

    @cached_property
    def _noise_levels(self) -> list[NoiseLevel]:
        return [
            NoiseLevel(
                name=level.name,
                std=level.std,
                given=self._mean(level.given),
                rows=[
                    self._row(label, row, level)
                    for label, rows in level.rows.items()
                    for row in rows
                ],
            )
            for level in self.levels
        ]

    def _row(self, label: str, row: Measured, level: Level) -> ImageRow:
        reference = level.at(self.labels[0], self.trained_steps)
        return ImageRow(
            model=label,
            steps=row.steps if label != self.labels[2] else None,
            candidates=row.budget.candidates,
            psnr=_psnr(row),
            nfe=row.nfe,
            ms_per_image=row.ms_per_prediction,
            difference=None if row is reference else self._minus(row, reference),
            diverged=row.diverged,
        )

    def report(self, results: Results, phases_s: Mapping[str, float]) -> ImageReport:
        """What the page shows."""
        thinker, *rivals = self.labels
        seen = f"{self.trained.samples:,}"
        return ImageReport(
            title="argmind quickstart: images",
            results=results,
            data=f"{self.data} All saw the same {seen} images, repeats counted, each time with "
            "other noise.",
            thinker=thinker,
            rivals=rivals,
            trained_steps=self.trained_steps,
            parameters={one.label: one.parameters for one in self.trained.contenders},
            phases_s=phases_s,
            levels=self._noise_levels,
            longer=self._longer,
            thinking=[self._between(0, self.trained_steps, level) for level in self.levels],
            curves=self._curves(),
            scores=self._scores(),
            pictures=self.pictures,
            notes=self.notes(),
        )

    def _curves(self) -> dict[str, list[Curve]]:
        """Denoising losses together; what the diffusion model learns is another loss."""
        thinker, dit, regression = self.trained.contenders
        per_step = thinker.recipe.training.batch_size

        def of(one: Any, metric: str) -> list[Curve]:
            return learning_curves(one.folder, one.label, per_step, metric)

        pixels = [*of(thinker, "smooth_l1"), *of(regression, "smooth_l1")]
        return {
            "smooth L1 per pixel": pixels,
            "squared error of the noise": of(dit, "epsilon_error"),
        }

    def _scores(self) -> list[Scores]:
        thinker, _, regression = self.labels
        told = [
            (level.at(thinker, self.trained_steps), f"{thinker}, std {level.std:g}", "energy", "1")
            for level in self.levels
        ]
        plain = self.levels[0].best(regression)
        words = f"{regression}, std {self.levels[0].std:g}"
        told.append((plain, words, "mean square of the correction", "pixels²"))
        return [
            Scores(
                model=model,
                signal=signal,
                unit=unit,
                values=row.evaluation.energies,
                losses=row.evaluation.losses,
                loss_unit="smooth L1 per pixel",
                items="images",
            )
            for row, model, signal, unit in told
        ]

    def notes(self) -> list[str]:
        """What the figures say beside the table."""
        thinker, dit, _ = self.labels
        return [
            unequal_compute(self.trained),
            f"{dit} learns every noise level and is told which one it has before it; {thinker} "
            "and the regression learnt one level and are told nothing, so that the greater noise "
            f"is new to them and not to {dit}.",
        ]

    def next_commands(self) -> tuple[str, str, str]:
        """What to try now."""
        run = shlex.quote(str(self.trained.thinker.folder))
        longest, std = 4 * self.trained_steps, self.levels[1].std
        return (
            f"argmind denoise {run} --held-out 6 --steps {longest} --trace steps.png",
            f"argmind eval {run} --steps 1 {self.trained_steps} {longest} "
            f"--set data.task.level={std:g}",
            "argmind train image_denoise_ebt --data my_images --out runs/mine",
        )

    def shown(self, results: Results) -> Sequence[RenderableType]:
        """What is printed."""
        report = self.report(results, {})
        held_out = len(self.levels[0].given)
        return [
            "",
            psnr_table(f"{held_out} held-out images, 95 % bootstrap intervals", report),
            *(Text(comparison(report, level)) for level in report.levels),
            "",
            *(Text(f"• {sentence}") for sentence in limits(report)),
            "",
        ]


def _psnr(row: Measured) -> Interval:
    return row.scores[PSNR]


def _plain(row: ImageRow, level: str) -> dict[str, Any]:
    """A row as JSON data; what is not finite is null."""
    return {
        "level": level,
        "model": row.model,
        "steps": row.steps,
        "candidates": row.candidates,
        "psnr": plain_interval(row.psnr),
        "difference": plain_interval(row.difference),
        "nfe": row.nfe,
        "ms_per_image": row.ms_per_image,
        "diverged": row.diverged,
    }
