"""How predictors learn that answer in one pass: the task loss of the answer."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from argmind.objectives.base import Loss, Objective
from argmind.predictors.base import Predictor
from argmind.randomness import Randomness

P = TypeVar("P", bound=Predictor)


class OnePass(Objective[P]):
    """Mean task loss."""

    def __init__(self, predictor: P) -> None:
        super().__init__()
        self.predictor = predictor
        self._judge = self.stage(self._judged)

    @property
    def repeats(self) -> bool:
        """Every step is the same work."""
        return True

    def answer(self, problem: dict[str, Tensor]) -> Tensor:
        """The predictor's answer, with a graph."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Mean loss of one batch, and the predictor's scores."""
        metrics = self._judge(batch, source=generator)
        value = metrics[self.metric]
        logged = {name: metric.detach() for name, metric in metrics.items()}
        return Loss(value, logged, len(next(iter(batch.values()))))

    def _judged(self, batch: dict[str, Tensor], source: Randomness) -> dict[str, Tensor]:  # noqa: ARG002
        problem, target = self.predictor.task(batch)
        output = self.answer(problem)
        judged = {self.metric: self.predictor.loss(output, target)}
        judged |= self.predictor.scores(output.detach(), target)
        return {name: each.mean() for name, each in judged.items()}

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes."""
        return self.predictor.training_flops(*self.predictor.extent(self.predictor.task(batch)[0]))
