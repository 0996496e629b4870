"""What predictors of reasoning problems without an energy share: the energy model's own trunk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from argmind.nn.bidirectional import BidirectionalConfig, BidirectionalTransformer, Told
from argmind.nn.flops import TRAINED, linear_flops
from argmind.predictors.base import Prediction, Predictor, Trace
from argmind.randomness import Randomness
from argmind.spaces.answers import Answers, Layout, ProblemEmbedding
from argmind.spaces.base import Problem
from argmind.thinking.budget import Budget
from argmind.thinking.stops.base import Stop

#: A problem: what is given, where, and what of it is known.
Asked = Mapping[str, Tensor]


class Turn(NamedTuple):
    """An answer on the way, with how unsure the model is (B,) and the passes it took so far."""

    output: Tensor  # (B, L, width)
    unsure: Tensor
    passes: int


class AnswerPredictor(Predictor):
    """Reads problems with a transformer, and is judged by its answers to them."""

    def __init__(self, transformer: BidirectionalConfig, inputs: dict[str, Any]) -> None:
        super().__init__()
        dim = transformer.hidden_dim
        self.layout = Layout.of(inputs)
        self.answers = Answers(self.layout)
        self.metric = Answers.metric
        self.problem = ProblemEmbedding(self.layout, dim)
        self.trunk = BidirectionalTransformer(transformer)
        self.condition = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        self.readout = nn.Linear(dim, self.layout.width, bias=False)
        nn.init.normal_(self.readout.weight, std=dim**-0.5)

    # -------------------------------------------------------------- problems

    def encode(self, context: Problem, first: Tensor | None = None, last_only: bool = False) -> Any:
        """The problem itself."""
        if isinstance(context, Tensor) or first is not None or last_only:
            raise ValueError("a reasoning problem is a dict of tensors, asked as a whole")
        return context

    def told(self, rows: Tensor) -> Told:
        """The model's own condition, for every problem."""
        return self.trunk.told(self.condition.expand(len(rows), -1))

    def keep(self, state: Asked, rows: Tensor) -> dict[str, Tensor]:
        """Some of the problems, by index."""
        return {name: tensor[rows] for name, tensor in state.items()}

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """See :meth:`Answers.task`."""
        return self.answers.task(batch)

    def extent(self, problem: Asked) -> tuple[int, int]:
        """How many problems, and tokens each."""
        batch, tokens = problem["known"].shape
        return batch, tokens

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See :meth:`Answers.scores`."""
        return self.answers.scores(output, target)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """See :meth:`Answers.loss`."""
        return self.answers.loss(output, target)

    # -------------------------------------------------------------- cost

    def read_flops(self, length: int) -> float:
        """Reading a problem, and its condition."""
        return self.problem.flops(length) + self.trunk.told_flops()

    def pass_flops(self, length: int) -> float:
        """One pass of the trunk, and one read-out."""
        return self.trunk.flops(length) + length * linear_flops(self.readout)


class TurnPredictor(AnswerPredictor):
    """A sequence of better and better answers; the last one within budget counts.

    Having no energy, it reports the mean entropy of its symbols. It gives one candidate, whatever
    the budget's.
    """

    @property
    def trained_turns(self) -> int:
        """Turns that a budget of ``None`` means."""
        return 1

    @property
    def trained_steps(self) -> int:
        """Turns are steps."""
        return self.trained_turns if self.thinks else 0

    def turns(self, problem: Asked, count: int) -> Iterator[Turn]:
        """Answers after 1 … ``count`` turns, with a graph where one is kept."""
        raise NotImplementedError

    @torch.no_grad()
    def predict_from(
        self,
        state: Asked,
        budget: Budget,
        generator: Randomness = None,  # noqa: ARG002
    ) -> Prediction:
        """Turn after turn, until they or the deadline are over, or every answer is settled."""
        began, stop = time.monotonic(), budget.stop.build()
        kept: list[Turn] = []
        active = torch.ones_like(state["known"][:, 0])
        steps, nfe = torch.zeros_like(active, dtype=torch.long), torch.zeros_like(active.long())
        for turn in self.turns(state, self._turns_of(budget)):
            steps, nfe = steps + active, torch.where(active, turn.passes, nfe)
            kept.append(_where(active, turn, kept[-1]) if kept else turn)
            if stop.settles:
                active = active & ~self.settled(turn, kept[-2] if len(kept) > 1 else None, stop)
                if not bool(active.any()):
                    break
            if budget.deadline_s is not None and _now(turn.output) - began > budget.deadline_s:
                break
        output, unsure, _ = kept[-1]
        diverged = ~output.flatten(1).isfinite().all(1)
        trace = self._trace(kept) if budget.trace else None
        return Prediction(output, output, unsure, steps * self.thinks, nfe, diverged, trace)

    def settled(self, turn: Turn, before: Turn | None, stop: Stop) -> Tensor:
        """Which answers (B,) need no further turn; the change of an output is its gradient."""
        if before is None:
            return torch.zeros_like(turn.unsure, dtype=torch.bool)
        change = (turn.output - before.output)[:, None]
        return stop.finished(turn.unsure[:, None], before.unsure[:, None], change)[:, 0]

    def _turns_of(self, budget: Budget) -> int:
        asked = self.trained_turns if budget.steps is None else budget.steps
        return max(1, asked) if self.thinks else 1

    def _trace(self, turns: list[Turn]) -> Trace:
        """Nothing is known before the first turn."""
        nothing = torch.zeros_like(turns[0].output)
        outputs = [nothing, *(turn.output for turn in turns)]
        return Trace(outputs, [self.answers.unsure(nothing), *(turn.unsure for turn in turns)])

    # -------------------------------------------------------------- cost

    def turns_flops(self, length: int, count: float) -> float:
        """Forward FLOPs of one problem in so many turns."""
        raise NotImplementedError

    def training_flops(self, sequences: int, length: int, turns: float = 1.0) -> float:
        """Three forward passes, in so many turns."""
        return TRAINED * sequences * self.turns_flops(length, turns)

    def prediction_flops(self, length: int, budget: Budget) -> float:
        """Every turn of the budget."""
        return self.turns_flops(length, self._turns_of(budget))


def _where(active: Tensor, turn: Turn, before: Turn) -> Turn:
    """The new turn where problems are still active."""
    output = torch.where(active[:, None, None], turn.output, before.output)
    return Turn(output, torch.where(active, turn.unsure, before.unsure), turn.passes)


def _now(like: Tensor) -> float:
    if like.is_cuda:  # queued work takes no time until it is waited for
        torch.cuda.synchronize(like.device)
    return time.monotonic()
