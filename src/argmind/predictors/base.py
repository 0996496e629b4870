"""The call that every model here answers.

Shapes: B problems, N candidates, P prediction axes, F features of one candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from argmind.randomness import Randomness
from argmind.registry import Part
from argmind.thinking.budget import Budget


@dataclass(frozen=True)
class Trace:
    """Every step of a thought: the chosen candidate's way, start included."""

    outputs: list[Tensor]  # T + 1 of (B, *P, …)
    energies: list[Tensor]  # T + 1 of (B, *P)


@dataclass(frozen=True)
class Prediction:
    """An answer to every prediction asked, with what it cost and how sure the model is.

    ``output`` in the user's terms (text: logits (B, S, V)); ``candidate`` as the space has it;
    ``energy`` (B, *P): lower is surer; ``steps``, ``nfe``: moves and energy-gradient evaluations
    spent, all candidates together; ``diverged``: thinking left the finite numbers, do not use.
    """

    output: Tensor
    candidate: Tensor
    energy: Tensor
    steps: Tensor
    nfe: Tensor
    diverged: Tensor
    trace: Trace | None = None


class Predictor(nn.Module, Part):
    """``predict(problem, budget, generator) → Prediction``.

    Generation encodes a context once (``encode``), predicts from the state (``predict_from``) and
    extends it by what was chosen (``extend``); ``predict`` does the first two over all positions.
    """

    #: Does a larger budget change the answer?
    thinks: bool = False

    def encode(self, context: Tensor, first: Tensor | None = None, last_only: bool = False) -> Any:
        """A context's state; ``last_only``: only what follows its last element is asked."""
        raise NotImplementedError

    def extend(self, state: Any, elements: Tensor) -> Any:
        """The state after one more element (B,) of the context; asks what follows it."""
        raise NotImplementedError

    def predict_from(self, state: Any, budget: Budget, generator: Randomness = None) -> Prediction:
        """Predict everything the state asks."""
        raise NotImplementedError

    @torch.no_grad()
    def predict(
        self,
        problem: Tensor,
        budget: Budget | None = None,
        generator: Randomness = None,
        first: Tensor | None = None,
    ) -> Prediction:
        """What follows every element of ``problem`` (B, S); ``first`` (B,): left padding ends."""
        state = self.encode(problem, first)
        return self.predict_from(state, budget or Budget(), generator)

    def task(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """A batch as problem and target."""
        raise NotImplementedError

    def keep(self, state: Any, rows: Tensor) -> Any:
        """The state of some of its problems, by index."""
        raise NotImplementedError

    def training_flops(self, sequences: int, length: int) -> float:
        """Model FLOPs of one training step on ``sequences`` problems of ``length`` elements."""
        raise NotImplementedError

    def prediction_flops(self, length: int, budget: Budget) -> float:
        """Model FLOPs of predicting what follows every element of one problem.

        With a stop or a deadline, the most that it may cost.
        """
        raise NotImplementedError

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Task loss of outputs (B, *P, …), per prediction (B, *P)."""
        raise NotImplementedError
