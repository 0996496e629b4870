"""A table of thinking budgets: what each reached on the same held-out samples, and its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from argmind.eval.evaluate import Evaluation, evaluate
from argmind.eval.statistics import Interval, bits_per_byte, bootstrap_difference, bootstrap_mean
from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One predictor at one budget; intervals over samples, by bootstrap."""

    budget: Budget
    steps: int
    loss: Interval
    scores: Mapping[str, Interval]
    energy: Interval
    nfe: float
    ms_per_prediction: float
    diverged: int
    evaluation: Evaluation

    def minus(self, other: Measured, seed: int = 0) -> Interval:
        """Paired difference of losses on the same samples."""
        return bootstrap_difference(
            self.evaluation.losses, other.evaluation.losses, np.random.default_rng(seed)
        )

    def minus_score(self, name: str, other: Measured, seed: int = 0) -> Interval:
        """Paired difference of one of the scores on the same samples."""
        mine, theirs = self.evaluation.scores[name], other.evaluation.scores[name]
        return bootstrap_difference(mine, theirs, np.random.default_rng(seed))


@dataclass(frozen=True, kw_only=True)
class MeasuredText(Measured):
    """A model of text at one budget."""

    bits_per_byte: Interval

    @property
    def nats(self) -> Interval:
        """Nats per token, which is the loss."""
        return self.loss


def measure(
    predictor: Predictor,
    batches: Sequence[dict[str, Tensor]],
    budgets: Iterable[Budget],
    *,
    seed: int = 0,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> list[Measured]:
    """Evaluate each budget on the same batches with the same draws.

    The first batch is predicted once beforehand, so that no budget pays for warming up.
    ``progress`` is called with (budgets done, samples done of this one).
    """
    rows: list[Measured] = []
    for index, budget in enumerate(budgets):
        if not index:
            evaluate(predictor, batches[:1], budget, seed=seed, precision=precision)

        def report(samples: int, index: int = index) -> None:
            if progress is not None:
                progress(index, samples)

        result = evaluate(
            predictor, batches, budget, seed=seed, precision=precision, progress=report
        )
        steps = predictor.trained_steps if budget.steps is None else budget.steps
        scores = {
            name: bootstrap_mean(values, np.random.default_rng(seed))
            for name, values in result.scores.items()
        }
        rows.append(
            Measured(
                budget=budget,
                steps=steps if predictor.thinks else 0,
                loss=bootstrap_mean(result.losses, np.random.default_rng(seed)),
                scores=scores,
                energy=bootstrap_mean(result.energies, np.random.default_rng(seed)),
                nfe=float(result.nfe.mean()),
                ms_per_prediction=result.ms_per_prediction,
                diverged=int(result.diverged.sum()),
                evaluation=result,
            )
        )
    return rows


def with_bytes(rows: Iterable[Measured], bytes_per_token: float) -> list[MeasuredText]:
    """Measured models of text: nats per token in bits per byte too."""
    return [
        MeasuredText(
            **vars(row),
            bits_per_byte=row.loss.map(lambda x: bits_per_byte(x, bytes_per_token)),
        )
        for row in rows
    ]


def with_errors(rows: Iterable[Measured], seed: int = 0) -> list[Measured]:
    """Measured models of pictures: with mean squared errors as the score ``error`` too."""
    found: list[Measured] = []
    for row in rows:
        errors = squared_errors(row.evaluation)
        result = replace(row.evaluation, scores={**row.evaluation.scores, "error": errors})
        error = bootstrap_mean(errors, np.random.default_rng(seed))
        found.append(replace(row, scores={**row.scores, "error": error}, evaluation=result))
    return found


def squared_errors(evaluation: Evaluation) -> NDArray[Any]:
    """Mean squared error of every prediction: what decibels of a range of 2 are made of."""
    return 4 * 10 ** (-evaluation.scores["psnr"] / 10)
