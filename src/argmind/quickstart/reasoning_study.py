"""What the solvers do on held-out puzzles: budgets, stopping, self-verification, boards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from argmind.data.base import Batch
from argmind.eval.problems import Solved, solve
from argmind.eval.stopping import plateau_stop
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.reasoning_findings import ReasoningFindings
from argmind.quickstart.reasoning_stopping import Stopped
from argmind.quickstart.screen import Screen
from argmind.reasoning.run import ReasoningRun, load_reasoning_run
from argmind.report.grids import Frame, Way
from argmind.thinking.budget import Budget

CANDIDATES = 8
#: Steps of every budget, in trained ones.
FACTORS = (0.5, 1, 2, 4, 8)
#: A plateau is where a step changes the energy by less than this share of the first change.
_PLATEAU = 0.0003
#: Puzzles answered together, and the least that are measured at all.
_BATCH = 50
#: Share of the time that goes to these budgets; the rest is for pictures and intervals.
_MEASURING = 0.75
#: Puzzles looked through for one that is worth a picture.
_PICTURED = 50


class ReasoningStudy:
    """All models at their last step, and the held-out puzzles they are measured on."""

    def __init__(self, trained: Trained, screen: Screen) -> None:
        self.trained, self.screen = trained, screen
        # The last step, not the best: what all were at after the same time.
        self.runs = [load_reasoning_run(one.folder, which="last") for one in trained.contenders]
        self.labels = [one.label for one in trained.contenders]
        steps = trained.thinker.recipe.thinking.steps
        self.steps = [max(1, int(factor * steps)) for factor in FACTORS]
        self.trained_steps, self.seed = steps, trained.seed
        self.data = trained.data

    def run(self, clock: Clock, data: str) -> Study:
        """Measure as many held-out puzzles as there is time for, then picture some."""
        count = self._count(clock.study_s)
        rows = [row for split in self.data.splits for row in self._split(split, count)]
        findings = ReasoningFindings(
            trained=self.trained,
            labels=self.labels,
            data=data,
            steps=self.steps,
            trained_steps=self.trained_steps,
            rows=rows,
            verified=[self._best_of(split, count) for split in self.data.splits],
            stopped=self._stopped(count),
            ways=self._ways(),
            puzzle=self._example(),
        )
        return findings.study(clock.phases_s)

    # -------------------------------------------------------------- budgets

    def _count(self, for_s: float) -> int:
        """Puzzles of each split that all budgets can be measured on in this time."""
        ebt, budget = self.runs[0], Budget(steps=self.trained_steps)
        self._solve(ebt, self.data.splits[0], budget, _BATCH)
        began_s = time.perf_counter()
        self._solve(ebt, self.data.splits[0], budget, _BATCH)
        step_s = (time.perf_counter() - began_s) / _BATCH / self.trained_steps
        # The budgets of the EBT, half as much for those of the loop, the stop and the candidates.
        steps = 1.5 * sum(self.steps) + max(self.steps) + CANDIDATES * self.trained_steps
        return max(_BATCH, int(_MEASURING * for_s / (step_s * steps * len(self.data.splits))))

    def _split(self, split: str, count: int) -> list[tuple[str, Solved]]:
        rows: list[tuple[str, Solved]] = []
        with self.screen.counting(f"solving, {split}", 100) as tell:
            for number, (label, run) in enumerate(zip(self.labels, self.runs, strict=True)):
                tell(int(100 * number / len(self.runs)), f"{label}, {count} puzzles")
                steps = self.steps if run.predictor.thinks else [self.trained_steps]
                rows += [(label, self._solve(run, split, Budget(steps=s), count)) for s in steps]
        return rows

    def _solve(self, run: ReasoningRun, split: str, budget: Budget, count: int) -> Solved:
        return solve(
            run.predictor,
            self.data,
            split,
            budget,
            limit=count,
            batch_size=_BATCH,
            seed=self.seed,
        )

    def _best_of(self, split: str, count: int) -> Solved:
        budget = Budget(steps=self.trained_steps, candidates=CANDIDATES)
        return self._solve(self.runs[0], split, budget, count)

    def _stopped(self, count: int) -> Stopped:
        """The longest budget where thinking stops once the energy has settled."""
        run = self.runs[0]
        problem, _ = run.predictor.task(self._first(self.data.splits[0], _BATCH))
        stop: Any = plateau_stop(run.predictor, problem, _PLATEAU)
        budget = Budget(steps=max(self.steps), stop=stop)
        return Stopped(
            tolerance=stop.tolerance,
            rows=[self._solve(run, split, budget, count) for split in self.data.splits],
        )

    def _first(self, split: str, count: int) -> Batch:
        return next(iter(self.data.evaluation(count, count, split)))

    # -------------------------------------------------------------- boards

    def _ways(self) -> list[Way]:
        """One hard puzzle, as every model fills it in."""
        batch = self._first(self.data.splits[-1], _PICTURED)
        outputs = [self._trace(run, batch) for run in self.runs]
        place, how = self._worth_seeing(outputs[0][0], batch)
        return [
            Way(
                model=label,
                how=how,
                board=self.data.problems.board,
                given=torch.where(batch["known"], batch["target"] + 1, 0)[place].numpy(),
                solution=(batch["target"][place] + 1).numpy(),
                frames=self._frames(traced, energies, place),
            )
            for label, (traced, energies) in zip(self.labels, outputs, strict=True)
        ]

    def _trace(self, run: ReasoningRun, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        problem, _ = run.predictor.task(batch)
        budget = Budget(steps=max(self.steps), trace=True)
        generator = torch.Generator().manual_seed(self.seed)
        trace = run.predictor.predict(problem, budget, generator).trace
        assert trace is not None  # asked for
        return trace.outputs, trace.energies

    def _worth_seeing(self, outputs: Sequence[Tensor], batch: Batch) -> tuple[int, str]:
        """A puzzle that the thinker solves in the end, but not within the trained steps."""
        right = [
            ((output.argmax(-1) == batch["target"]) | batch["known"]).all(1).numpy()
            for output in outputs
        ]
        chosen = np.flatnonzero(right[-1] & ~right[self.trained_steps])
        if len(chosen):
            thinker = self.labels[0]
            return int(chosen[0]), f"the first that {thinker} solves, but only by longer thinking"
        return 0, "the first of them"

    def _frames(
        self, outputs: Sequence[Tensor], energies: Sequence[Tensor], place: int
    ) -> list[Frame]:
        shown = [step for step in (0, 1, *self.steps) if step < len(outputs)]
        return [
            Frame(
                step=step,
                chances=outputs[step][place].float().softmax(-1).numpy(),
                energy=float(energies[step][place]),
            )
            for step in dict.fromkeys(shown)
        ]

    def _example(self) -> str:
        """The first hard puzzle as a line."""
        batch = self._first(self.data.splits[-1], 1)
        cells = torch.where(batch["known"], batch["target"] + 1, 0)[0].tolist()
        return "".join(str(value) if value else "." for value in cells)
