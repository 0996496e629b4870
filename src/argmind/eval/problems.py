"""Reasoning problems solved, by their own exact checker, at any budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from argmind.data.datasets.reasoning import ReasoningData
from argmind.eval.evaluate import Evaluation, evaluate
from argmind.eval.statistics import Interval, auroc, bootstrap_mean, spearman
from argmind.predictors.base import Prediction, Predictor
from argmind.thinking.budget import Budget

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Solved:
    """What a predictor reached on one split within one budget, a row per problem."""

    split: str
    budget: Budget
    solved: Array  # bool, by the checker
    difficulty: Array
    evaluation: Evaluation

    def accuracy(self, seed: int = 0) -> Interval:
        """Share of problems solved."""
        return bootstrap_mean(self.solved.astype(float), np.random.default_rng(seed))

    @property
    def mean_nfe(self) -> float:
        """Network evaluations a problem."""
        return float(self.evaluation.nfe.mean())

    @property
    def verifier_auroc(self) -> float:
        """How well low energy tells right answers from wrong; NaN where all are alike."""
        if self.solved.all() or not self.solved.any():
            return float("nan")
        return auroc(-self.evaluation.energies.ravel(), self.solved)

    @property
    def steps_follow_difficulty(self) -> float:
        """Rank correlation of steps used and difficulty; NaN where either is constant."""
        steps = self.evaluation.steps.ravel()
        if np.ptp(steps) == 0 or np.ptp(self.difficulty) == 0:
            return float("nan")
        return spearman(steps, self.difficulty)


def solve(
    predictor: Predictor,
    data: ReasoningData,
    split: str,
    budget: Budget,
    *,
    limit: int | None = None,
    batch_size: int = 250,
    seed: int = 0,
    precision: str = "fp32",
) -> Solved:
    """Answer a split's held-out problems and check every answer by the rules.

    Answers are the likeliest symbols, or the numbers; a diverged answer is never right.

    Raises:
        UserError: no such split.
    """
    batches = list(data.evaluation(batch_size, limit, split))
    recording = _Recording(predictor, "symbols" in data.model_inputs)
    evaluation = evaluate(
        cast(Predictor, recording), batches, budget, seed=seed, precision=precision
    )
    given = np.concatenate([batch["given"].numpy() for batch in batches])
    right = data.problems.correct(given, np.concatenate(recording.answers))
    return Solved(
        split=split,
        budget=budget,
        solved=right & ~evaluation.diverged.ravel(),
        difficulty=np.concatenate([batch["difficulty"].numpy() for batch in batches]),
        evaluation=evaluation,
    )


class _Recording:
    """A predictor whose answers are kept."""

    def __init__(self, predictor: Predictor, symbols: bool) -> None:
        self._predictor, self._symbols = predictor, symbols
        self.answers: list[Array] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict(self, *arguments: Any) -> Prediction:
        prediction = self._predictor.predict(*arguments)
        output = prediction.output
        answer = output.argmax(-1) if self._symbols else output.float()
        self.answers.append(answer.cpu().numpy())
        return prediction
