"""What thinking does for a model: how good answers are by steps and candidates, and how it knows.

Nothing here knows of a modality: a :class:`Subject` says what is asked and what a good answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from argmind.eval.adaptive import Adaptive, adaptive_rows
from argmind.eval.calibration import calibrate
from argmind.eval.curvature import curvature
from argmind.eval.diversity import diversity
from argmind.eval.evaluate import Evaluation
from argmind.eval.statistics import Interval, bootstrap_difference, bootstrap_mean
from argmind.eval.thinking_data import Gain, Row, Spread, Steepness, Subject, ThinkingStudy
from argmind.predictors._answers import TurnPredictor
from argmind.predictors.annealed import Annealed
from argmind.predictors.base import Predictor
from argmind.predictors.ebt import EBT
from argmind.thinking.budget import Budget

Array = NDArray[Any]
#: Told before every piece of work: what comes next.
Tell = Callable[[str], None]

CANDIDATES = (1, 4)


def default_steps(predictor: Predictor) -> list[int]:
    """A quarter … four times the trained steps, and none where the start is an answer."""
    if not predictor.thinks:
        return [0]
    trained = predictor.trained_steps
    steps = {max(1, trained // 2), trained, 2 * trained, 4 * trained}
    if isinstance(predictor, EBT) and predictor.thinker.config.start in ("given", "amortised"):
        steps.add(0)
    return sorted(steps)


def study(
    subject: Subject,
    base: Budget | None = None,
    *,
    steps: Sequence[int] | None = None,
    candidates: Sequence[int] = CANDIDATES,
    tell: Tell = lambda _: None,
) -> ThinkingStudy:
    """Measure all of it.

    Args:
        base: what every budget has beside steps, candidates and stop.
        steps: thinking steps to try; the trained number always is.

    Raises:
        UserError: a budget that the model cannot answer within.
    """
    return _Study(subject, base or Budget(), steps, candidates, tell).run()


class _Study:
    def __init__(
        self,
        subject: Subject,
        base: Budget,
        steps: Sequence[int] | None,
        candidates: Sequence[int],
        tell: Tell,
    ) -> None:
        predictor = subject.predictor
        self.subject, self.predictor, self.base, self.tell = subject, predictor, base, tell
        self.trained = predictor.trained_steps
        asked = default_steps(predictor) if steps is None or not predictor.thinks else steps
        self.steps = sorted({*asked, self.trained})
        chooses = predictor.thinks and not isinstance(predictor, TurnPredictor)
        self.candidates = sorted({1, *candidates}) if chooses else [1]
        for budget in self._grid():
            predictor.check(budget)
        self.evaluations: dict[Budget, Evaluation] = {}

    def _budget(self, steps: int, candidates: int = 1) -> Budget:
        thinks = self.predictor.thinks
        return replace(self.base, steps=steps if thinks else None, candidates=candidates)

    def _grid(self) -> list[Budget]:
        return [self._budget(*pair) for pair in product(self.steps, self.candidates)]

    def run(self) -> ThinkingStudy:
        first, *others = self.subject.splits
        rows = [self._row(first, s, n) for s, n in product(self.steps, self.candidates)]
        rows += [self._row(split, s, 1) for split in others for s in self.steps]
        at_trained = self.evaluations[self._budget(self.trained)]
        self.tell("calibration")
        found: dict[str, Any] = {}
        if self.predictor.thinks:
            found = {
                "adaptive": self._adaptive(rows),
                "falling": self._falling(),
                "gains": [self._gain(rows, split) for split in self.subject.splits],
            }
        if isinstance(self.predictor, EBT) and not isinstance(self.predictor, Annealed):
            found |= {"steepness": self._steepness(), "spreads": self._spreads()}
        return ThinkingStudy(
            quality=self.subject.quality,
            thinks=self.predictor.thinks,
            trained_steps=self.trained,
            rows=rows,
            calibration=calibrate(
                at_trained.energies, self.subject.quality.of(at_trained), self.subject.seed
            ),
            samples={row.split: len(row.values) for row in rows},
            **found,
        )

    # ---------------------------------------------------------- budgets

    def _row(self, split: str, steps: int, candidates: int) -> Row:
        self.tell(f"{split}: {steps} steps, {candidates} candidates")
        budget = self._budget(steps, candidates)
        result = self.subject.evaluate(split, budget)
        if split == next(iter(self.subject.splits)):
            self.evaluations[budget] = result
        values = self.subject.quality.of(result)
        return Row(
            split=split,
            steps=steps,
            candidates=candidates,
            quality=self._mean(values),
            nfe=float(result.nfe.mean()),
            ms_per_prediction=result.ms_per_prediction,
            diverged=int(result.diverged.sum()),
            values=values,
        )

    def _mean(self, values: Array) -> Interval:
        return bootstrap_mean(values, np.random.default_rng(self.subject.seed))

    def _gain(self, rows: Sequence[Row], split: str) -> Gain:
        own = {row.steps: row for row in rows if row.split == split and row.candidates == 1}
        trained, longest = own[self.trained], own[max(own)]
        generator = np.random.default_rng(self.subject.seed)
        return Gain(
            split=split,
            trained=trained.quality,
            longest=longest.quality,
            difference=bootstrap_difference(longest.values, trained.values, generator),
        )

    def _adaptive(self, rows: Sequence[Row]) -> list[Adaptive]:
        self.tell("adaptive stopping")
        first = next(iter(self.subject.splits))
        fixed = [row for row in rows if row.split == first and row.candidates == 1]
        problem, _ = next(self.subject.problems())
        return adaptive_rows(
            self.predictor,
            problem,
            fixed=[(row.nfe, row.values) for row in fixed],
            ask=lambda stop: self.subject.evaluate(
                first, replace(self._budget(max(self.steps)), stop=stop)
            ),
            quality=self.subject.quality.of,
            seed=self.subject.seed,
        )

    # ---------------------------------------------------------- landscapes

    def _falling(self) -> list[float]:
        """The share of finite energies that fell in every step of the longest budget."""
        self.tell("energies step by step")
        fell = finite = np.zeros(0)
        for problem, generator in self.subject.problems():
            energies = self._energies(problem, generator)
            drop = energies[:-1] - energies[1:]
            usable = drop.isfinite()
            one = [x.flatten(1).sum(1).numpy() for x in ((drop > 0) & usable, usable)]
            longest = max(len(fell), len(one[0]))
            fell, finite = (
                _padded(total, longest) + _padded(new, longest)
                for total, new in zip((fell, finite), one, strict=True)
            )
        return (fell / np.maximum(finite, 1)).tolist()

    def _energies(self, problem: Any, generator: torch.Generator) -> torch.Tensor:
        """Energies (steps + 1, B, *P) along the way of one candidate."""
        budget = self._budget(max(self.steps))
        if isinstance(self.predictor, EBT) and not isinstance(self.predictor, Annealed):
            with torch.no_grad():  # without the outputs, which may be large
                landscape = self.predictor.landscape(problem)
                thought = self.predictor.thinker.think(landscape, budget, generator)
            return torch.stack([energy[:, 0] for energy in thought.energies]).cpu()
        trace = self.predictor.predict(problem, replace(budget, trace=True), generator).trace
        assert trace is not None  # asked for
        return torch.stack(trace.energies).cpu()

    def _steepness(self) -> list[Steepness]:
        """At the start, and after the trained and the most steps, on the first batch."""
        assert isinstance(self.predictor, EBT)
        found: list[Steepness] = []
        for steps in sorted({0, self.trained, max(self.steps)}):
            self.tell(f"curvature after {steps} steps")
            problem, generator = next(self.subject.problems())
            values = curvature(self.predictor, problem, steps, generator)
            found.append(Steepness(steps=steps, values=values.double().cpu().numpy()))
        return found

    def _spreads(self) -> list[Spread]:
        """Of the most candidates, after the trained and the most steps, on the first batch."""
        assert isinstance(self.predictor, EBT)
        count, found = max(self.candidates), list[Spread]()
        if count < 2:
            return found
        for steps in sorted({self.trained, max(self.steps)}):
            self.tell(f"diversity after {steps} steps")
            problem, generator = next(self.subject.problems())
            budget, symbols = self._budget(steps, count), self.subject.symbols
            spread = diversity(self.predictor, problem, budget, generator, symbols)
            distinct = None if spread.distinct is None else self._mean(_host(spread.distinct))
            distance = self._mean(_host(spread.distance))
            found.append(
                Spread(steps=steps, candidates=count, distance=distance, distinct=distinct)
            )
        return found


def _padded(x: Array, length: int) -> Array:
    return np.pad(x.astype(float), (0, length - len(x)))


def _host(x: torch.Tensor) -> Array:
    return x.double().cpu().numpy()
