"""The measurements of next-frame models as figures, a table, a page and plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from argmind.eval.budgets import Measured, squared_errors
from argmind.eval.results import Figure, Results
from argmind.eval.statistics import (
    Interval,
    auroc,
    auroc_within,
    bootstrap,
    bootstrap_difference,
    bootstrap_mean,
    spearman,
)
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.curves import learning_curves
from argmind.quickstart.plain import plain_interval, unequal_compute
from argmind.quickstart.text_table import ranged
from argmind.report.data import Scores
from argmind.report.pictures import PictureTable
from argmind.report.video import video_report
from argmind.report.video_data import Doubt, VideoReport, VideoRow
from argmind.report.video_limits import comparison, limits, rolled, uncertain

_ERROR = "squared error/pixel"
#: Enough for the ends of a 95 % interval of a rank correlation, which is slow to compute.
_RESAMPLES = 200


@dataclass(frozen=True, kw_only=True)
class VideoFindings:
    """Everything that was measured; errors are mean squares per pixel (clips, frames)."""

    trained: Trained
    labels: Sequence[str]
    data: str
    trained_steps: int
    random: NDArray[np.bool_]  # (clips, frames): the next one is decided by chance
    given: int
    still: NDArray[Any]
    rows: Sequence[Measured]  # of the thinker, by steps
    plain: Measured  # of the rival
    horizons: Mapping[str, NDArray[Any]]
    pictures: Sequence[PictureTable]

    def study(self, phases_s: Mapping[str, float]) -> Study:
        """As the quickstart wants it."""
        return Study(
            figures=self.figures(),
            extra=self._extra(),
            shown=self.shown,
            page=lambda results: video_report(self.report(results, phases_s)),
            next_commands=self.next_commands(),
        )

    # -------------------------------------------------------------- figures

    @cached_property
    def as_trained(self) -> Measured:
        """The trained number of steps."""
        return next(row for row in self.rows if row.steps == self.trained_steps)

    def figures(self) -> dict[str, Figure]:
        """What ``results.json`` holds."""
        doubt, table = self._doubt, self._table
        by_step = [row.error for row in table]
        found = {
            "next_frame_error_ebt": Figure.of(
                self._mean(squared_errors(self.as_trained.evaluation)), _ERROR
            ),
            "next_frame_error_tpp": Figure.of(
                self._mean(squared_errors(self.plain.evaluation)), _ERROR
            ),
            "next_frame_error_still": Figure.of(self._mean(self.still), _ERROR),
            "next_frame_error_ebt_by_step": Figure.series(by_step, _ERROR),
            "ebt_minus_tpp": Figure.of(self._difference(self.as_trained), _ERROR),
            "ebt_ms_per_frame": Figure.of(self.as_trained.ms_per_prediction, "ms"),
            "tpp_ms_per_frame": Figure.of(self.plain.ms_per_prediction, "ms"),
            "energy_error_rank_correlation": Figure.of(self._correlation(self.as_trained), "1"),
            "tpp_change_error_rank_correlation": Figure.of(self._correlation(self.plain), "1"),
            "energy_turn_auroc": Figure.of(doubt.auroc, "1"),
            "energy_turn_auroc_same_frame": Figure.of(doubt.auroc_same_frame, "1"),
            "energy_at_turn": Figure.of(doubt.at_turn, "1"),
            "energy_elsewhere": Figure.of(doubt.elsewhere, "1"),
        }
        keys = ("ebt", "tpp", "still")
        for key, by_horizon in zip(keys, self._horizon_means.values(), strict=True):
            found[f"rollout_error_{key}_by_horizon"] = Figure.series(list(by_horizon), _ERROR)
        return found

    def _mean(self, values: NDArray[Any]) -> Interval:
        return bootstrap_mean(values, np.random.default_rng(self.trained.seed))

    def _difference(self, row: Measured) -> Interval:
        generator = np.random.default_rng(self.trained.seed)
        return bootstrap_difference(
            squared_errors(row.evaluation), squared_errors(self.plain.evaluation), generator
        )

    def _correlation(self, row: Measured) -> Interval:
        """Of whole clips resampled, their frames together."""
        return self._resampled(spearman, row.evaluation.energies, squared_errors(row.evaluation))

    @cached_property
    def _horizon_means(self) -> dict[str, list[Interval]]:
        return {
            label: [self._mean(column) for column in errors.T]
            for label, errors in self.horizons.items()
        }

    @cached_property
    def _doubt(self) -> Doubt:
        energies = self.as_trained.evaluation.energies
        # One frame tells no speed: what follows the first is open too, and left out.
        later, random = energies[:, 1:], self.random[:, 1:]
        return Doubt(
            energies=energies,
            losses=self.as_trained.evaluation.losses,
            random=self.random,
            auroc=self._resampled(auroc, later, random),
            auroc_same_frame=self._resampled(auroc_within, later, random),
            at_turn=self._mean(later[random]),
            elsewhere=self._mean(later[~random]),
        )

    def _resampled(self, measure: Callable[..., float], *tables: NDArray[Any]) -> Interval:
        generator = np.random.default_rng(self.trained.seed)
        return bootstrap(measure, *tables, generator=generator, resamples=_RESAMPLES)

    @cached_property
    def _table(self) -> list[VideoRow]:
        return [_row(self.labels[0], row, self._difference(row)) for row in self.rows]

    def _extra(self) -> dict[str, Any]:
        return {
            "trained_steps": self.trained_steps,
            "steps_of_ebt_by_step": [row.steps for row in self.rows],
            "held_out_clips": len(self.still),
            "clips_rolled_out": len(next(iter(self.horizons.values()))),
            "frames_given_to_rollouts": self.given,
            "budgets": [
                {
                    "steps": row.steps,
                    "error": plain_interval(row.error),
                    "difference": plain_interval(row.difference),
                    "nfe": row.nfe,
                    "ms_per_frame": row.ms_per_frame,
                    "diverged": row.diverged,
                }
                for row in self._table
            ],
        }

    # -------------------------------------------------------------- words

    def report(self, results: Results, phases_s: Mapping[str, float]) -> VideoReport:
        """What the page shows."""
        contenders = self.trained.contenders
        thinker, rival = self.labels
        config: Any = self.trained.thinker.recipe.data
        per_step = self.trained.thinker.recipe.training.batch_size * config.frames
        nothing = VideoRow(
            model="nothing changes",
            steps=None,
            error=self._mean(self.still),
            nfe=None,
            ms_per_frame=None,
        )
        return VideoReport(
            title="argmind quickstart: video",
            results=results,
            data=f"{self.data} Both saw the same {self.trained.samples:,} clips.",
            thinker=thinker,
            rival=rival,
            trained_steps=self.trained_steps,
            parameters={one.label: one.parameters for one in contenders},
            phases_s=phases_s,
            still=nothing,
            plain=_row(rival, self.plain, None),
            rows=self._table,
            given=self.given,
            horizons=self._horizon_means,
            doubt=self._doubt,
            curves=[
                curve
                for one in contenders
                for curve in learning_curves(one.folder, one.label, per_step, "smooth_l1")
            ],
            scores=self._scores(),
            moving=self.pictures,
            notes=[
                unequal_compute(self.trained),
                f"{thinker} learns how wrong its answers will be from what it has learnt to answer "
                "with: a level of the energy that no candidate changes and no step feels.",
                "Both models learn one answer, so where chance decides both tend to the mean of "
                "what may come; `video_nearest_ebt` learns the alternatives instead.",
            ],
        )

    def _scores(self) -> list[Scores]:
        told = (
            (self.as_trained, self.labels[0], "energy", "1"),
            (self.plain, self.labels[1], "mean square of the change", "pixels²"),
        )
        return [
            Scores(
                model=model,
                signal=signal,
                unit=unit,
                values=row.evaluation.energies,
                losses=squared_errors(row.evaluation),
                loss_unit="mean squared error",
                items="frames",
            )
            for row, model, signal, unit in told
        ]

    def next_commands(self) -> tuple[str, ...]:
        """What to try now."""
        return (
            f"argmind imagine {self.trained.thinker.folder} --held-out 4 --frames 9",
            "argmind train video_ebt --set data.scene=digits --out runs/bouncing",
            "argmind train video_nearest_ebt --set data.scene=turning --out runs/alternatives",
            f"argmind quickstart --domain video --minutes 20 --seed {self.trained.seed + 1}",
        )

    def shown(self, results: Results) -> Sequence[RenderableType]:
        """What is printed."""
        report = self.report(results, {})
        return [
            "",
            _printed(report, f"{len(self.still)} held-out clips, 95 % bootstrap intervals"),
            *(Text(words(report)) for words in (comparison, rolled, uncertain)),
            "",
            *(Text(f"• {sentence}") for sentence in limits(report)),
            "",
        ]


def _row(label: str, row: Measured, difference: Interval | None) -> VideoRow:
    errors = squared_errors(row.evaluation)
    return VideoRow(
        model=label,
        steps=None if difference is None else row.steps,
        error=bootstrap_mean(errors, np.random.default_rng(0)),
        nfe=row.nfe,
        ms_per_frame=row.ms_per_prediction,
        difference=difference,
        diverged=row.diverged,
    )


def _printed(report: VideoReport, title: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("model", no_wrap=True)
    heads = ("steps", "mean squared error", "NFE", "ms/frame", f"minus {report.rival}")
    for head in heads:
        table.add_column(head, justify="right")
    for row in (report.still, report.plain, *report.rows):
        table.add_row(
            row.model,
            "–" if row.steps is None else str(row.steps),
            ranged(row.error, ".4f"),
            "–" if row.nfe is None else f"{row.nfe:.0f}",
            "–" if row.ms_per_frame is None else f"{row.ms_per_frame:.2f}",
            "–" if row.difference is None else ranged(row.difference, "+.4f"),
            style="bold" if row is report.trained else None,
        )
    return table
