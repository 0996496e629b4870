"""What a study of thinking is asked, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray

from argmind.data.base import Batch
from argmind.eval.adaptive import Adaptive
from argmind.eval.calibration import Calibration
from argmind.eval.evaluate import Evaluation, evaluate
from argmind.eval.statistics import Interval
from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget
from argmind.train.seeds import seed_for

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What is good about an answer: one of the predictor's scores, or its loss."""

    name: str  # in words
    unit: str
    score: str | None = None  # None: the loss
    more_is_better: bool = True

    def of(self, evaluation: Evaluation) -> Array:
        """Of every prediction, a row per sample."""
        return evaluation.losses if self.score is None else evaluation.scores[self.score]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, the held-out samples it is asked about, and how its answers are judged."""

    predictor: Predictor
    #: Held-out samples by split: the first as in training, the others further from it.
    splits: Mapping[str, Sequence[Batch]]
    quality: Quality
    #: Are outputs logits of symbols along their last axis?
    symbols: bool = False
    seed: int = 0
    #: How a split is evaluated within a budget, where that is not :func:`evaluate` alone.
    judge: Callable[[str, Budget], Evaluation] | None = None

    def evaluate(self, split: str, budget: Budget) -> Evaluation:
        """All predictions of a split."""
        if self.judge is not None:
            return self.judge(split, budget)
        return evaluate(self.predictor, self.splits[split], budget, seed=self.seed)

    def problems(self) -> Iterator[tuple[Any, torch.Generator]]:
        """The problems of the first split, each with the draws that evaluation gives them."""
        device = next(self.predictor.parameters()).device
        for index, batch in enumerate(next(iter(self.splits.values()))):
            problem, _ = self.predictor.task({name: x.to(device) for name, x in batch.items()})
            yield problem, torch.Generator(device).manual_seed(seed_for(self.seed, 0, index))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One split within one budget."""

    split: str
    steps: int
    candidates: int
    quality: Interval
    nfe: float
    ms_per_prediction: float
    diverged: int
    values: Array  # the quality of every prediction


@dataclass(frozen=True, kw_only=True)
class Steepness:
    """Step size × largest eigenvalue of the Hessian, of predictions after so many steps."""

    steps: int
    values: Array


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How different several candidates are after so many steps."""

    steps: int
    candidates: int
    distance: Interval
    distinct: Interval | None


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What the most steps change against the trained number, on one split."""

    split: str
    trained: Interval
    longest: Interval
    difference: Interval


@dataclass(frozen=True, kw_only=True)
class ThinkingStudy:
    """Everything that was measured; what does not apply to a model is empty."""

    quality: Quality
    thinks: bool
    trained_steps: int
    rows: Sequence[Row]
    calibration: Calibration
    adaptive: Sequence[Adaptive] = ()
    #: Share of predictions whose energy fell, in step 1, 2, …
    falling: Sequence[float] = ()
    steepness: Sequence[Steepness] = ()
    spreads: Sequence[Spread] = ()
    gains: Sequence[Gain] = ()
    samples: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def first(self) -> str:
        """The split as in training."""
        return self.rows[0].split

    def at(self, split: str, steps: int, candidates: int = 1) -> Row:
        """The row of this budget."""
        wanted = (split, steps, candidates)
        return next(r for r in self.rows if (r.split, r.steps, r.candidates) == wanted)

    def line(self, split: str) -> list[Row]:
        """The rows of a split with the fewest candidates, by steps."""
        own = [row for row in self.rows if row.split == split]
        fewest = min(row.candidates for row in own)
        return [row for row in own if row.candidates == fewest]
