"""What runs on images and runs on clips are measured on alike: problems with pictures as answers.

Images and clips differ in how their problems are opened and in what is told of them beside; all
else (budgets, tables, comparisons) is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from argmind.cli._comparison import Measure
from argmind.cli._measure import rank_correlation
from argmind.data.base import Batch
from argmind.eval.budgets import Measured
from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget


@dataclass(frozen=True, kw_only=True)
class Problems:
    """Held-out problems to measure on."""

    #: What there is a number of, and what one prediction is of.
    items: ClassVar[str]
    prediction: ClassVar[str]

    name: str
    batches: list[Batch]

    @property
    def count(self) -> int:
        """Number of images, or of clips."""
        return sum(len(next(iter(batch.values()))) for batch in self.batches)

    @property
    def legend(self) -> str:
        """What the table's columns need said."""
        return "ρ: rank correlation of energy and loss"

    def facts(self) -> dict[str, Any]:
        """What ``--json`` says of them."""
        return {"data": self.name, self.items: self.count}

    def judged(self, rows: list[Measured]) -> list[Measured]:
        """Rows with whatever further scores these problems give them."""
        return rows

    def further(self, row: Measured) -> dict[str, float]:  # noqa: ARG002
        """Further figures of a row, for ``--json``."""
        return {}

    def cells(self, row: Measured) -> dict[str, str]:
        """What the table tells of a row beside its score, by column."""
        return {
            "loss": f"{row.loss.value:.4g}",
            **self.costs(row),
            "ρ": f"{rank_correlation(row):.2f}",
        }

    def costs(self, row: Measured) -> dict[str, str]:
        """Passes and time."""
        return {"NFE": f"{row.nfe:.1f}", f"ms/{self.prediction}": f"{row.ms_per_prediction:.3f}"}


def _by_score(key: str, unit: str, digits: int) -> Measure:
    return Measure(
        key=key,
        unit=unit,
        logged=key,
        value=lambda row: row.scores[key],
        minus=lambda row, other: row.minus_score(key, other),
        more_is_better=True,
        digits=digits,
    )


_MEASURES = (_by_score("psnr", "PSNR/dB", 2), _by_score("accuracy", "accuracy", 3))


def measure_of(predictor: Predictor, batches: Sequence[Batch]) -> Measure:
    """What this model's answers are judged by, found by asking it for one; else its loss."""
    device = next(predictor.parameters()).device
    one = {name: x[:1].to(device) for name, x in batches[0].items()}
    problem, target = predictor.task(one)
    scores = predictor.scores(predictor.predict(problem, Budget(steps=1)).output, target)
    known = (measure for measure in _MEASURES if measure.key in scores)
    return next(known, _loss(predictor.metric))


def _loss(metric: str) -> Measure:
    return Measure(
        key="loss",
        unit=metric,
        logged=metric,
        value=lambda row: row.loss,
        minus=lambda row, other: row.minus(other),
    )
