"""What the two text models do on held-out text: budgets, doubt, a passage, samples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from argmind.errors import UserError
from argmind.eval.budgets import MeasuredText, measure, with_bytes
from argmind.eval.evaluate import evaluate
from argmind.eval.stopping import plateau_stop
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.screen import Screen
from argmind.quickstart.text_findings import TextFindings
from argmind.report.data import PassageToken, Sample
from argmind.text.generation import Sampling
from argmind.text.measure import entropies, most_readable, passage
from argmind.text.run import TextRun, load_text_run
from argmind.thinking.budget import Budget

STEPS = (0, 1, 2, 4, 8)
CANDIDATES = (1, 4, 16)
#: Held-out sequences predicted together, and the least that are measured at all.
_BATCH = 8
PROMPT = "The for statement is used to"


@dataclass(frozen=True)
class Pair:
    """Something of both models."""

    ebt: TextRun
    rival: TextRun


class TextStudy:
    """Both models at their last step, and the held-out text they are measured on."""

    def __init__(self, trained: Trained, sample_tokens: int, screen: Screen) -> None:
        self.trained, self.screen, self.sample_tokens = trained, screen, sample_tokens
        rival = trained.rivals[0]
        self.labels = (trained.thinker.label, rival.label)
        folders = (trained.thinker.folder, rival.folder)
        # The last step, not the best: what both were at after the same data.
        self.models = Pair(*(load_text_run(folder, which="last") for folder in folders))
        self.trained_steps = trained.thinker.recipe.thinking.steps
        self.seed = trained.seed

    def run(self, clock: Clock, data: str) -> Study:
        """Measure as many held-out sequences as there is time for, then write samples."""
        models = self.models
        grid = self._grid()
        batches = self._batches(clock.study_s, grid)
        thinking, plain = self._measured(batches, grid)
        as_trained = Budget(steps=self.trained_steps)
        stop = plateau_stop(models.ebt.predictor, _context(batches[0], models.ebt))
        patient = Budget(steps=max(STEPS), stop=stop)
        settled = self._measure(models.ebt, batches, [patient], "settling")[0]
        findings = TextFindings(
            trained=self.trained,
            labels=self.labels,
            data=data,
            trained_steps=self.trained_steps,
            rival=plain,
            budgets=thinking,
            settled=settled,
            entropies=entropies(models.ebt.predictor, batches, as_trained, self.seed),
            passage=self._passage(batches[0]["tokens"], patient),
            samples=self._samples(),
            prompt=PROMPT,
        )
        return findings.study(clock.phases_s)

    # -------------------------------------------------------------- budgets

    def _grid(self) -> list[Budget]:
        """Steps × candidates, the trained number of steps among them."""
        start = self.trained.thinker.recipe.thinking.start
        steps = sorted({*STEPS, self.trained_steps})
        # Zero steps leave the start as it is, which only says something when it is a guess.
        steps = [count for count in steps if count or start == "amortised"]
        return [Budget(steps=s, candidates=n) for s, n in product(steps, CANDIDATES)]

    def _batches(self, for_s: float, grid: Sequence[Budget]) -> list[dict[str, Tensor]]:
        """Held-out sequences that all budgets can be measured on in this time."""
        data, predictor = self.trained.data, self.models.ebt.predictor
        first = list(data.evaluation(_BATCH, _BATCH))
        dearest = max(grid, key=_cost)
        began_s = time.perf_counter()
        evaluate(predictor, first, dearest, seed=self.seed)
        per_sequence_s = (time.perf_counter() - began_s) / len(first[0]["tokens"]) / _cost(dearest)
        # Beside the grid: the rival, the plateau stop and the entropies.
        others = 4 * _cost(Budget(steps=max(STEPS)))
        per_sequence_s *= sum(map(_cost, grid)) + others
        return list(data.evaluation(_BATCH, max(_BATCH, int(for_s / per_sequence_s))))

    def _measured(
        self, batches: list[dict[str, Tensor]], grid: Sequence[Budget]
    ) -> tuple[list[MeasuredText], MeasuredText]:
        plain = self._measure(self.models.rival, batches, [Budget()], self.labels[1])[0]
        return self._measure(self.models.ebt, batches, grid, "thinking"), plain

    def _measure(
        self, run: TextRun, batches: list[dict[str, Tensor]], budgets: Sequence[Budget], what: str
    ) -> list[MeasuredText]:
        sequences = sum(len(batch["tokens"]) for batch in batches)
        costs = [_cost(budget) for budget in budgets]
        with self.screen.counting(what, 100) as tell:

            def report(index: int, samples: int) -> None:
                done = sum(costs[:index]) + costs[index] * samples / sequences
                tell(int(100 * done / sum(costs)), _words(budgets[index], sequences))

            rows = measure(run.predictor, batches, budgets, seed=self.seed, progress=report)
        return with_bytes(rows, self.trained.data.evaluation_bytes_per_token)

    # -------------------------------------------------------------- words

    def _passage(self, windows: Tensor, budget: Budget) -> list[PassageToken]:
        window = most_readable(self.models.ebt, windows)
        return passage(self.models.ebt, window, budget, self.seed)

    def _samples(self) -> list[Sample]:
        sampling = Sampling(
            temperature=0.8, top_p=0.95, max_tokens=self.sample_tokens, seed=self.seed
        )
        return [
            self._sample(label, model, sampling)
            for label, model in zip(self.labels, (self.models.ebt, self.models.rival), strict=True)
        ]

    def _sample(self, label: str, model: TextRun, sampling: Sampling) -> Sample:
        budget, drawn = Budget(), f"temperature {sampling.temperature}, top-p {sampling.top_p}"
        if model.predictor.thinks:
            drawn += f", {self.trained_steps} thinking steps"
        ids = model.tokenizer.encode(PROMPT)[: max(1, model.context_tokens // 2)]
        prompt = model.tokenizer.decode(ids)
        try:
            text = model.generate(prompt, budget, sampling)[0].text
        except UserError as error:  # thinking diverged: the rest is worth having without it
            text = f" [{error}]"
        return Sample(model=label, prompt=prompt, continuation=text, settings=drawn)


def _cost(budget: Budget) -> float:
    """In gradients of one candidate's energy; the last energy and the context count too."""
    assert budget.steps is not None or budget.candidates == 1
    return budget.candidates * ((budget.steps or 0) + 0.5) + 0.5


def _words(budget: Budget, sequences: int) -> str:
    if budget.steps is None:
        return f"one pass over {sequences} sequences"
    steps = f"{budget.steps} step{'' if budget.steps == 1 else 's'}"
    candidates = f"{budget.candidates} candidate{'' if budget.candidates == 1 else 's'}"
    return f"{steps}, {candidates}, {sequences} sequences"


def _context(batch: dict[str, Tensor], run: TextRun) -> Tensor:
    return run.predictor.task({"tokens": batch["tokens"].to(run.run.device)})[0]
