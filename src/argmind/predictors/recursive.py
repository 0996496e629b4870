"""The strongest rival on puzzles: a tiny network that recurs on a thought and an answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.nn.bidirectional import BidirectionalConfig, Told
from argmind.nn.flops import TRAINED, linear_flops
from argmind.predictors._answers import Asked, Turn, TurnPredictor
from argmind.registry import register
from argmind.thinking.stops.base import Stop
from argmind.thinking.thinker import ThinkingConfig


class Latents(NamedTuple):
    """What a recursion carries: its answer and its thought, (B, L, D) each."""

    answer: Tensor
    thought: Tensor


@register("predictor", "recursive")
class Recursive(TurnPredictor):
    """``z ← net(x + y + z)`` n times, then ``y ← net(y + z)``: a cycle; three of them a segment.

    Training differentiates through the last cycle of a segment alone, and learns from up to
    ``thinking.steps`` segments in a row (``objective=deep_supervision``). The budget's steps are
    segments. A halting head says whether the answer is right; its ``−log p`` is what the model
    reports as unsureness, and a budget that stops by itself stops where p exceeds a half.
    Source: Jolicoeur-Martineau 2025, "Less is More: Recursive Reasoning with Tiny Networks" (TRM).
    """

    thinks = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: BidirectionalConfig = field(
            default_factory=lambda: BidirectionalConfig(num_layers=2)
        )
        #: Updates of the thought before one of the answer (n).
        thoughts: int = 6
        #: Cycles in a segment, the last of them with gradient.
        cycles: int = 3

        def __post_init__(self) -> None:
            for name in ("thoughts", "cycles"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    first: Tensor  # (2, D): where answers and thoughts begin; drawn once, not trained

    def __init__(self, config: Config, thinking: ThinkingConfig, **inputs: Any) -> None:
        super().__init__(config.transformer, inputs)
        self.config, self.trained = config, thinking.steps
        dim = config.transformer.hidden_dim
        self.register_buffer("first", torch.randn(2, dim).clamp(-2, 2))
        self.halt = nn.Linear(dim, 1)
        nn.init.zeros_(self.halt.weight)
        # At first nothing is right: p = sigmoid(−5). Source: the public code of TRM.
        nn.init.constant_(self.halt.bias, -5.0)

    @property
    def trained_turns(self) -> int:
        """The most segments in training."""
        return self.trained

    # -------------------------------------------------------------- recursion

    def rows(self, problem: Asked) -> Tensor:
        """The problem (B, L, D), as large as the latents that it is added to."""
        return self.first.shape[1] ** 0.5 * self.problem(problem)

    def begin(self, rows: Tensor) -> Latents:
        """Where every problem's answer and thought begin."""
        answer, thought = (first.expand_as(rows) for first in self.first)
        return Latents(answer, thought)

    def segment(self, rows: Tensor, latents: Latents) -> Latents:
        """All cycles of a segment; what comes before the last is a constant."""
        told = self.told(rows)
        with torch.no_grad():
            for _ in range(self.config.cycles - 1):
                latents = self._cycle(rows, latents, told)
        return self._cycle(rows, latents, told)

    def _cycle(self, rows: Tensor, latents: Latents, told: Told) -> Latents:
        answer, thought = latents
        for _ in range(self.config.thoughts):
            thought = self.trunk.under(rows + answer + thought, told)
        return Latents(self.trunk.under(answer + thought, told), thought)

    def right(self, latents: Latents) -> Tensor:
        """Logit (B,) of the answer being right."""
        return self.halt(latents.answer.mean(1)).squeeze(-1)

    def turns(self, problem: Asked, count: int) -> Iterator[Turn]:
        """An answer after every segment."""
        rows = self.rows(problem)
        latents, passes = self.begin(rows), self.config.cycles * (self.config.thoughts + 1)
        for turn in range(1, count + 1):
            latents = self.segment(rows, latents)
            unsure = F.softplus(-self.right(latents))
            yield Turn(self.readout(latents.answer), unsure, turn * passes)

    def settled(self, turn: Turn, before: Turn | None, stop: Stop) -> Tensor:  # noqa: ARG002
        """Which answers the halting head believes to be right, whatever the stop."""
        return turn.unsure < math.log(2)

    # -------------------------------------------------------------- cost

    def turns_flops(self, length: int, count: float) -> float:
        """``cycles (n + 1)`` passes a segment, a read-out and the halting head."""
        passes = self.config.cycles * (self.config.thoughts + 1)
        read = length * linear_flops(self.readout) + linear_flops(self.halt)
        told = self.trunk.told_flops()
        segment = passes * self.trunk.flops(length) + read + told
        return self.problem.flops(length) + count * segment

    def training_flops(self, sequences: int, length: int, turns: float = 1.0) -> float:
        """Three passes of each in the last cycle, one in those before it."""
        before = (self.config.cycles - 1) * (self.config.thoughts + 1)
        constant = turns * before * self.trunk.flops(length)
        return sequences * (TRAINED * self.turns_flops(length, turns) - 2 * constant)
