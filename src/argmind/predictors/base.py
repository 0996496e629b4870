"""The call that every model here answers.

Shapes: B problems, N candidates, P prediction axes, F features of one candidate.
"""

from __future__ import annotations

import inspect
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.errors import UserError
from argmind.randomness import Randomness
from argmind.registry import Part
from argmind.spaces.base import Problem
from argmind.thinking.budget import Budget


def require_understood(config: PartConfig, inputs: Mapping[str, Any], own: Container[str]) -> None:
    """Refuse data that a part is not made for, by what its constructor asks for.

    Args:
        inputs: what the data says about itself.
        own: what the part is told by others.

    Raises:
        UserError: the part needs something else, or cannot be told what the data says.
    """
    asked = inspect.signature(config.owner.__init__).parameters
    if any(one.kind is one.VAR_KEYWORD for one in asked.values()):
        return
    wanted = {name: one for name, one in asked.items() if name not in own}
    needed = {name for name, one in wanted.items() if one.default is one.empty}
    if needed - set(inputs) or set(inputs) - set(wanted):
        raise UserError(
            f"{config.part_kind} '{config.part_name}' is made for data that says its "
            f"{', '.join(wanted)}; this data says its {', '.join(inputs)}. Choose another "
            f"{config.part_kind} (`argmind list {config.part_kind}`) or other data."
        )


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
    #: What the task loss is called.
    metric: str = "loss"

    @property
    def trained_steps(self) -> int:
        """Steps of a budget that does not say how many; 0 for a model that does not think."""
        return 0

    def check(self, budget: Budget) -> None:
        """Refuse a budget that this model cannot answer within, before anything is spent on it.

        Raises:
            UserError: saying what to ask for instead.
        """

    def encode(self, context: Any, first: Tensor | None = None, last_only: bool = False) -> Any:
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
        problem: Problem,
        budget: Budget | None = None,
        generator: Randomness = None,
        first: Tensor | None = None,
    ) -> Prediction:
        """The answers to a batch of problems.

        Of tokens (B, S): what follows every one of them; ``first`` (B,): left padding ends.
        """
        state = self.encode(problem, first)
        return self.predict_from(state, budget or Budget(), generator)

    def task(self, batch: dict[str, Tensor]) -> tuple[Any, Tensor]:
        """A batch as problem and target."""
        raise NotImplementedError

    def extent(self, problem: Any) -> tuple[int, int]:
        """How many problems, and how many rows of the model each takes: what FLOPs depend on."""
        batch, length = problem.shape
        return batch, length

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Further measures of outputs, each per prediction (B, *P), by name."""
        return {}

    def keep(self, state: Any, rows: Tensor) -> Any:
        """The state of some of its problems, by index."""
        raise NotImplementedError

    def fixed(self, state: Any, capacity: int) -> Any | None:  # noqa: ARG002
        """The state in buffers for ``capacity`` elements, extended in place; None: no such form.

        Extending it gives tensors of the same shapes in the same places every time, without waiting
        for the device: one element's work can be captured and replayed. Its ``room.place`` (1,)
        counts the elements; whoever extends moves it on.
        """
        return None

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
