"""The measurements of two text models as figures, a table, a page and plain words."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text

from argmind.eval.budgets import MeasuredText
from argmind.eval.results import Figure, Results
from argmind.eval.statistics import Interval, bootstrap, spearman
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.curves import learning_curves
from argmind.quickstart.plain import plain_interval, unequal_compute
from argmind.quickstart.text_table import budget_table, ranged
from argmind.report.data import BudgetRow, PassageToken, Sample, Scores, TextReport
from argmind.report.limits import comparison, limits
from argmind.report.text import text_report
from argmind.thinking.budget import Budget

NATS = "nats/token"
#: Enough for the ends of a 95 % interval of a rank correlation, which is slow to compute.
_RESAMPLES = 300


@dataclass(frozen=True, kw_only=True)
class TextFindings:
    """Everything that was measured; ``settled`` is with the plateau stop."""

    trained: Trained
    labels: tuple[str, str]
    data: str
    trained_steps: int
    rival: MeasuredText
    budgets: Sequence[MeasuredText]
    settled: MeasuredText
    entropies: NDArray[Any]  # of the EBT as trained
    passage: Sequence[PassageToken]
    samples: Sequence[Sample]
    prompt: str

    def study(self, phases_s: Mapping[str, float]) -> Study:
        """As the quickstart wants it."""
        return Study(
            figures=self.figures(),
            extra=self._extra(),
            shown=self.shown,
            page=lambda results: text_report(self.report(results, phases_s)),
            next_commands=self.next_commands(),
        )

    # -------------------------------------------------------------- rows

    @cached_property
    def best(self) -> MeasuredText:
        """The budget with the least loss; the cheapest of equals."""
        return min(self.budgets, key=lambda row: (_or_worst(row.nats.value), row.nfe))

    @cached_property
    def as_trained(self) -> MeasuredText:
        """The trained number of steps with one candidate."""
        return self._at(self.trained_steps, 1)

    def _at(self, steps: int, candidates: int) -> MeasuredText:
        wanted = Budget(steps=steps, candidates=candidates)
        return next(row for row in self.budgets if row.budget == wanted)

    def _single(self) -> list[MeasuredText]:
        """The rows with one candidate, by steps."""
        return [row for row in self.budgets if row.budget.candidates == 1]

    @cached_property
    def rows(self) -> list[BudgetRow]:
        """The EBT's rows, each with its difference from the rival."""
        return [
            _row(self.labels[0], row, row.minus(self.rival, self.trained.seed))
            for row in self.budgets
        ]

    @cached_property
    def scores(self) -> list[Scores]:
        """Each sign of doubt beside the losses it should foretell."""
        ebt, rival = self.as_trained.evaluation, self.rival.evaluation
        first, second = self.labels
        return [
            Scores(model=first, signal="energy", unit="1", values=ebt.energies, losses=ebt.losses),
            Scores(
                model=first,
                signal="entropy",
                unit="nats",
                values=self.entropies,
                losses=ebt.losses,
            ),
            Scores(
                model=second,
                signal="entropy",
                unit="nats",
                values=rival.energies,
                losses=rival.losses,
            ),
        ]

    # -------------------------------------------------------------- figures

    def figures(self) -> dict[str, Figure]:
        """What ``results.json`` holds."""
        single, best = self._single(), self.best
        found = {
            "tpp_nats": Figure.of(self.rival.nats, NATS),
            "tpp_bits_per_byte": Figure.of(self.rival.bits_per_byte, "bits/byte"),
            "tpp_ms_per_token": Figure.of(self.rival.ms_per_prediction, "ms"),
            "ebt_nats_by_step": Figure.series([row.nats for row in single], NATS),
            "ebt_energy_by_step": Figure.series([row.energy for row in single], "1"),
            "ebt_nats_trained": Figure.of(self.as_trained.nats, NATS),
            "ebt_ms_per_token": Figure.of(self.as_trained.ms_per_prediction, "ms"),
            "ebt_nats_best": Figure.of(best.nats, NATS),
            "ebt_bits_per_byte_best": Figure.of(best.bits_per_byte, "bits/byte"),
            "ebt_ms_per_token_best": Figure.of(best.ms_per_prediction, "ms"),
            "ebt_nfe_best": Figure.of(best.nfe, "evaluations/token"),
            "ebt_minus_tpp_trained": Figure.of(self._difference(self.as_trained), NATS),
            "ebt_minus_tpp_best": Figure.of(self._difference(best), NATS),
            "plateau_nats": Figure.of(self.settled.nats, NATS),
            "plateau_steps_used": Figure.of(self.mean_steps, "steps"),
        }
        if self._gain is not None:
            found["ebt_trained_minus_start"] = Figure.of(self._gain, NATS)
        keys = ("ebt_energy", "ebt_entropy", "tpp_entropy")
        for key, scores in zip(keys, self.scores, strict=True):
            found[f"{key}_loss_rank_correlation"] = Figure.of(self._correlation(scores), "1")
        return found

    @cached_property
    def _gain(self) -> Interval | None:
        """What the trained steps change on the same tokens; None where nothing starts at zero."""
        start = self._single()[0]
        return None if start.steps else self.as_trained.minus(start, self.trained.seed)

    @property
    def mean_steps(self) -> float:
        """Steps that a token took with the plateau stop."""
        return float(np.mean(self.settled.evaluation.steps))

    def _difference(self, row: MeasuredText) -> Interval:
        return row.minus(self.rival, self.trained.seed)

    def _correlation(self, scores: Scores) -> Interval:
        generator = np.random.default_rng(self.trained.seed)
        return bootstrap(
            spearman, scores.values, scores.losses, generator=generator, resamples=_RESAMPLES
        )

    def _extra(self) -> dict[str, Any]:
        stop: Any = self.settled.budget.stop
        return {
            "trained_steps": self.trained_steps,
            "steps_of_ebt_nats_by_step": [row.steps for row in self._single()],
            "best_budget": {"steps": self.best.steps, "candidates": self.best.budget.candidates},
            "plateau_tolerance": stop.tolerance,
            "held_out_sequences": len(self.rival.evaluation.losses),
            "held_out_tokens": int(self.rival.evaluation.losses.size),
            "budgets": [_plain(row) for row in self.rows],
            "samples": {one.model: one.prompt + one.continuation for one in self.samples},
        }

    # -------------------------------------------------------------- words

    def report(self, results: Results, phases_s: Mapping[str, float]) -> TextReport:
        """What the page shows."""
        trained = self.trained
        contenders = trained.contenders
        training: Any = trained.thinker.recipe.data
        per_step = trained.thinker.recipe.training.batch_size * training.context_tokens
        tokens = f"{trained.thinker.outcome.steps * per_step:,}"
        return TextReport(
            title="argmind quickstart: text",
            results=results,
            data=f"{self.data} Both saw the same {tokens} tokens, repeats counted.",
            parameters={one.label: one.parameters for one in contenders},
            phases_s=phases_s,
            trained_steps=self.trained_steps,
            rival=_row(self.labels[1], self.rival, None),
            budgets=self.rows,
            curves=[
                curve
                for one in contenders
                for curve in learning_curves(one.folder, one.label, per_step, "nats")
            ],
            scores=self.scores,
            passage=self.passage,
            samples=self.samples,
            notes=self.notes(),
        )

    def notes(self) -> list[str]:
        """What the figures say beside the table."""
        said = [
            unequal_compute(self.trained),
            f"Stopped where a step changes the energy by less than a tenth of the usual first "
            f"change, a token took {self.mean_steps:.1f} of {self.settled.budget.steps} steps and "
            f"the loss was {self.settled.nats.value:.3f} nats per token.",
        ]
        if self._gain is not None:
            said.append(
                f"On the same tokens, {self.trained_steps} thinking steps changed the loss of the "
                f"start by {ranged(self._gain, '+.4f')} nats per token."
            )
        return said

    def next_commands(self) -> tuple[str, str, str]:
        """What to try now."""
        run, prompt = shlex.quote(str(self.trained.thinker.folder)), shlex.quote(self.prompt)
        return (
            f"argmind generate {run} --prompt {prompt} --steps {max(1, self.best.steps)} "
            f"--candidates {self.best.budget.candidates}",
            f"argmind think {run} --prompt {prompt} --steps 4 --html thinking.html",
            "argmind train text_ebt --data my.txt --tokenizer bpe:4096 --size 3xs --out runs/mine",
        )

    def shown(self, results: Results) -> Sequence[RenderableType]:
        """What is printed."""
        report = self.report(results, {})
        held_out = self.rival.evaluation.losses.size
        return [
            "",
            budget_table(
                f"Held-out text: {held_out:,} tokens, 95 % bootstrap intervals",
                report.rival,
                self.rows,
                best=self.budgets.index(self.best),
            ),
            Text(comparison(report)),
            "",
            *(Text(f"• {sentence}") for sentence in limits(report)),
            "",
            *(self._sample(sample) for sample in self.samples),
        ]

    def _sample(self, sample: Sample) -> Text:
        text = Text(f"{sample.model} ({sample.settings}):\n", style="dim")
        text.append(sample.prompt, style="not dim bold")
        return text.append(f"{sample.continuation}\n", style="not dim")


def _row(label: str, measured: MeasuredText, difference: Interval | None) -> BudgetRow:
    thinks = difference is not None
    return BudgetRow(
        model=label,
        steps=measured.steps,
        candidates=measured.budget.candidates,
        nats=measured.nats,
        bits_per_byte=measured.bits_per_byte,
        nfe=measured.nfe if thinks else 0,
        ms_per_token=measured.ms_per_prediction,
        energy=measured.energy if thinks else None,
        difference=difference,
        diverged=measured.diverged,
    )


def _plain(row: BudgetRow) -> dict[str, Any]:
    """A row as JSON data; what is not finite is null."""
    intervals = {
        "nats_per_token": row.nats,
        "bits_per_byte": row.bits_per_byte,
        "energy": row.energy,
        "difference": row.difference,
    }
    return {
        "steps": row.steps,
        "candidates": row.candidates,
        **{name: plain_interval(interval) for name, interval in intervals.items()},
        "nfe": row.nfe,
        "ms_per_token": row.ms_per_token,
        "diverged": row.diverged,
    }


def _or_worst(nats: float) -> float:
    return nats if math.isfinite(nats) else math.inf
