"""The measurements of solvers as figures, a table, a page and plain words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from argmind.eval.problems import Solved
from argmind.eval.results import Figure, Results
from argmind.eval.statistics import (
    Interval,
    auroc,
    bootstrap,
    bootstrap_difference,
)
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.curves import learning_curves
from argmind.quickstart.plain import cut_short, plain_interval
from argmind.quickstart.reasoning_stopping import Stopped
from argmind.quickstart.reasoning_table import solved_table
from argmind.report.grids import Way
from argmind.report.reasoning import reasoning_report
from argmind.report.reasoning_data import ReasoningReport, SolvedRow, Stopping
from argmind.report.reasoning_words import comparison, limits

#: Enough for the ends of a 95 % interval of a rank correlation, which is slow to compute.
_RESAMPLES = 300
#: How budgets are called in figures, by their share of the trained steps.
_NAMES = ("half_T", "T", "2T", "4T", "8T")
_SHARE = "1"


@dataclass(frozen=True, kw_only=True)
class ReasoningFindings:
    """Everything that was measured; ``labels`` of thinker, loop and one-pass model."""

    trained: Trained
    labels: Sequence[str]
    data: str
    steps: Sequence[int]
    trained_steps: int
    rows: Sequence[tuple[str, Solved]]
    verified: Sequence[Solved]  # the thinker as trained, but the best of several, by split
    stopped: Stopped
    ways: Sequence[Way]
    puzzle: str

    def study(self, phases_s: Mapping[str, float]) -> Study:
        """As the quickstart wants it."""
        return Study(
            figures=self.figures(),
            extra=self._extra(),
            shown=self.shown,
            page=lambda results: reasoning_report(self.report(results, phases_s)),
            next_commands=self.next_commands(),
        )

    # -------------------------------------------------------------- rows

    @cached_property
    def splits(self) -> list[str]:
        """From easy to hard."""
        return list(dict.fromkeys(row.split for _, row in self.rows))

    def _at(self, split: str, label: str, steps: int) -> Solved:
        wanted = (label, split, steps)
        return next(r for name, r in self.rows if (name, r.split, r.budget.steps) == wanted)

    def _minus(self, first: Solved, second: Solved) -> Interval:
        generator = np.random.default_rng(self.trained.seed)
        return bootstrap_difference(
            first.solved.astype(float), second.solved.astype(float), generator
        )

    @cached_property
    def solved_rows(self) -> list[SolvedRow]:
        """Every budget, the thinker's with several candidates after its others."""
        told: list[SolvedRow] = []
        for index, split in enumerate(self.splits):
            own = [(label, row) for label, row in self.rows if row.split == split]
            thinker = [pair for pair in own if pair[0] == self.labels[0]]
            several = (self.labels[0], self.verified[index])
            told += [self._row(*pair) for pair in (*thinker, several, *own[len(thinker) :])]
        return told

    def _row(self, label: str, row: Solved) -> SolvedRow:
        reference = self._at(row.split, self.labels[0], self.trained_steps)
        return SolvedRow(
            split=row.split,
            model=label,
            steps=row.budget.steps if label != self.labels[2] else None,
            candidates=row.budget.candidates,
            solved=row.accuracy(self.trained.seed),
            nfe=row.mean_nfe,
            ms_per_problem=row.evaluation.ms_per_prediction,
            difference=None if row is reference else self._minus(row, reference),
        )

    # -------------------------------------------------------------- figures

    def figures(self) -> dict[str, Figure]:
        """What ``results.json`` holds."""
        found: dict[str, Figure] = {}
        thinker, loop, plain = self.labels
        for split in self.splits:
            key = f"sudoku_{split}"
            for label, short in ((thinker, "ebt"), (loop, "loop")):
                for name, steps in zip(_NAMES, self.steps, strict=True):
                    row = self._at(split, label, steps)
                    found[f"{key}_{short}_{name}"] = self._share(row)
            found[f"{key}_onepass"] = self._share(self._at(split, plain, self.trained_steps))
            for label, short in ((thinker, "ebt"), (loop, "loop")):
                gain = self._longer[split, label]
                found[f"{key}_{short}_4T_minus_T"] = Figure.of(gain, _SHARE)
        for row in self.verified:
            name, count = f"sudoku_{row.split}_ebt_T", row.budget.candidates
            trained = self._at(row.split, thinker, self.trained_steps)
            found[f"{name}_best_of_{count}"] = self._share(row)
            found[f"{name}_best_of_{count}_gain"] = Figure.of(self._minus(row, trained), _SHARE)
        stopping = self.stopping
        found["adaptive_nfe_ratio"] = Figure.of(stopping.nfe_ratio, _SHARE)
        found["adaptive_minus_longest"] = Figure.of(stopping.minus_longest, _SHARE)
        same = "every puzzle took equally many steps"
        found["steps_difficulty_rank"] = Figure.of(stopping.rank, _SHARE, same)
        alike = "every answer is right, or every one wrong"
        for label, short in zip(self.labels, ("ebt", "loop", "onepass"), strict=True):
            found[f"verifier_auroc_{short}"] = Figure.of(self._aurocs[label], _SHARE, alike)
        return found

    def _share(self, row: Solved) -> Figure:
        return Figure.of(row.accuracy(self.trained.seed), _SHARE)

    @cached_property
    def _longer(self) -> dict[tuple[str, str], Interval]:
        thinking = self.labels[:2]
        return {
            (split, label): self._minus(
                self._at(split, label, 4 * self.trained_steps),
                self._at(split, label, self.trained_steps),
            )
            for split in self.splits
            for label in thinking
        }

    @cached_property
    def _aurocs(self) -> dict[str, Interval]:
        """Of every model as trained, all splits together."""
        return {label: self._auroc(label) for label in self.labels}

    def _auroc(self, label: str) -> Interval:
        rows = [self._at(split, label, self.trained_steps) for split in self.splits]
        right = np.concatenate([row.solved for row in rows])
        doubt = np.concatenate([row.evaluation.energies.ravel() for row in rows])
        return bootstrap(
            lambda e, r: auroc(-e, r),
            doubt,
            right,
            generator=np.random.default_rng(self.trained.seed),
            resamples=_RESAMPLES,
        )

    @cached_property
    def stopping(self) -> Stopping:
        """What stopping early saves and costs, and whether it goes by difficulty."""
        most = max(self.steps)
        longest = [self._at(split, self.labels[0], most) for split in self.splits]
        return self.stopped.beside(longest, self.trained.seed)

    def _extra(self) -> dict[str, Any]:
        return {
            "trained_steps": self.trained_steps,
            "held_out_puzzles": len(self.rows[0][1].solved),
            "plateau_tolerance": self.stopped.tolerance,
            "training_steps_by_model": self._training_steps,
            "steps_by_rounds": [
                {"rounds": count, "steps": plain_interval(steps)}
                for count, steps in self.stopping.steps_by_rounds
            ],
            "budgets": [_plain(row) for row in self.solved_rows],
        }

    @property
    def _training_steps(self) -> dict[str, int]:
        return {one.label: one.outcome.steps for one in self.trained.contenders}

    # -------------------------------------------------------------- words

    def report(self, results: Results, phases_s: Mapping[str, float]) -> ReasoningReport:
        """What the page shows."""
        contenders = self.trained.contenders
        thinker, *rivals = self.labels
        per_step = self.trained.thinker.recipe.training.batch_size
        return ReasoningReport(
            title="argmind quickstart: reasoning",
            results=results,
            data=self.data,
            thinker=thinker,
            rivals=rivals,
            trained_steps=self.trained_steps,
            splits=self.splits,
            parameters={one.label: one.parameters for one in contenders},
            training_s={one.label: one.training_s for one in contenders},
            training_steps=self._training_steps,
            phases_s=phases_s,
            rows=self.solved_rows,
            longer=self._longer,
            auroc=self._aurocs,
            stopping=self.stopping,
            ways=self.ways,
            curves=[
                curve
                for one in contenders
                for curve in learning_curves(one.folder, one.label, per_step, "loss")
            ],
            notes=cut_short(self.trained),
        )

    def next_commands(self) -> tuple[str, str, str]:
        """What to try now."""
        run = shlex.quote(str(self.trained.thinker.folder))
        longest = 4 * self.trained_steps
        return (
            f"echo {self.puzzle} | argmind solve {run} - --steps {longest} --trace",
            f"argmind eval {run} --thinking --html thinking.html",
            "argmind train reasoning_sudoku_ebt --set data.problem.side=6 --out runs/mine",
        )

    def shown(self, results: Results) -> Sequence[RenderableType]:
        """What is printed."""
        report = self.report(results, {})
        count = len(self.rows[0][1].solved)
        title = f"{count} held-out puzzles of each kind, 95 % bootstrap intervals"
        return [
            "",
            solved_table(title, report),
            *(Text(comparison(report, split)) for split in self.splits),
            "",
            *(Text(f"• {sentence}") for sentence in limits(report)),
            "",
        ]


def _plain(row: SolvedRow) -> dict[str, Any]:
    """A row as JSON data; what is not finite is null."""
    return {
        "split": row.split,
        "model": row.model,
        "steps": row.steps,
        "candidates": row.candidates,
        "solved": plain_interval(row.solved),
        "difference": plain_interval(row.difference),
        "nfe": row.nfe,
        "ms_per_problem": row.ms_per_problem,
    }
