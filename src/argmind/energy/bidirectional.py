"""The bidirectional body: every row of a candidate sees every other, under one condition.

Source: Energy-Based Transformers, section 3 (bidirectional form) and its public image code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from argmind.config import PartConfig, part
from argmind.energy.base import EnergyModel
from argmind.energy.heads.base import alone
from argmind.nn.bidirectional import BidirectionalConfig, BidirectionalTransformer, Told
from argmind.nn.conditioning.base import Step
from argmind.nn.flops import linear_flops
from argmind.registry import register
from argmind.spaces.base import Embedding, Given, Whole


@dataclass
class BidirectionalState:
    """Problems, and what their conditions say to the blocks, for every landscape."""

    problem: Whole
    told: list[Told]

    def pick(self, index: Tensor) -> BidirectionalState:
        """Some of the problems."""
        return BidirectionalState(self.problem.pick(index), [one.pick(index) for one in self.told])


@register("body", "bidirectional")
class Bidirectional(EnergyModel):
    """One energy per candidate: the mean over its rows of a head's reading of each.

    What is given may be added to the candidate's rows; class and level, a vector of the model's
    own, and with ``steps="told"`` one per landscape are the condition. Cost of one energy: one
    transformer pass over B·N candidates of L rows. ``amortised``: a pass over what is given alone
    is wanted too, as a first guess.
    """

    reads = "whole"

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: BidirectionalConfig = field(default_factory=BidirectionalConfig)
        head: PartConfig = part("head", "quadratic")
        #: Do all steps descend the same landscape, or is the model told which step it scores?
        landscapes: Literal["shared", "told"] = "shared"

    def __init__(
        self, config: Config, landscapes: int, amortised: bool, pair_dim: int | None = None
    ) -> None:
        super().__init__()
        dim = config.transformer.hidden_dim
        self.amortises = amortised
        self.transformer = BidirectionalTransformer(config.transformer)
        self.condition = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        told = landscapes if config.landscapes == "told" else 0
        self.steps = nn.Embedding(told, dim) if told else None
        self.head = alone(config.head.build(dim, pair_dim or dim), config.part_name)

    def encode(
        self, context: Whole, first: Tensor | None = None, after: Tensor | None = None
    ) -> BidirectionalState:
        """A problem as the space reads it → state; there are no positions to ask for."""
        if first is not None or after is not None:
            raise ValueError("a bidirectional model answers whole problems, not positions of them")
        conditions = [context.condition + self.condition]
        if self.steps is not None:
            conditions = [conditions[0] + step for step in self.steps.weight]
        return BidirectionalState(context, [self.transformer.told(each) for each in conditions])

    def keep(self, state: BidirectionalState, rows: Tensor) -> BidirectionalState:
        """The state of some of its problems, by index."""
        return state.pick(rows)

    def at(self, state: BidirectionalState, step: int) -> BidirectionalState:
        """The state with what this step is told."""
        return BidirectionalState(state.problem, [_told(state, step)])

    def given(self, state: BidirectionalState) -> Given | None:
        """What the problem says of its answer."""
        return state.problem.given

    def hidden(self, state: BidirectionalState) -> Tensor | None:
        """Output (B, L, D) of a pass over what is given, without a candidate."""
        if not self.amortises:
            return None
        if state.problem.rows is None:
            raise ValueError("a first guess needs something given to guess from")
        return self.transformer.under(state.problem.rows, state.told[0])

    def predictions(self, state: BidirectionalState) -> torch.Size:
        """(B,): one answer a problem."""
        return state.problem.condition.shape[:1]

    def energy(self, state: BidirectionalState, embedding: Embedding, step: Step) -> Tensor:
        """Energies (B, N) of candidates seen as ``embedding`` (B, N, L, D)."""
        x = embedding.input
        if state.problem.rows is not None:
            x = x + state.problem.rows[:, None]
        hidden = self.transformer.under(x, _told(state, step))
        return self.head.score(hidden, embedding).mean(-1)

    def encode_flops(self, length: int, steps: float) -> float:  # noqa: ARG002
        """The modulations of every landscape, and the pass over what is given, if it is wanted."""
        landscapes = 1 if self.steps is None else self.steps.num_embeddings
        first = self.transformer.flops(length) if self.amortises else 0.0
        return landscapes * self.transformer.told_flops() + first

    def energy_flops(self, length: int) -> float:
        """One pass over a candidate's rows, and the head."""
        return self.transformer.flops(length) + length * linear_flops(self.head)

    def pair_flops(self, length: int) -> float:
        """Attention: queries, keys and values are all the candidate's."""
        return self.transformer.pair_flops(length)

    def narrow(
        self, state: BidirectionalState, active: Tensor
    ) -> tuple[BidirectionalState, Problems] | None:
        """Keep problems (B,) that are active."""
        if bool(active.all()):
            return None
        rows = active.nonzero()[:, 0]
        return state.pick(rows), Problems(rows)


def _told(state: BidirectionalState, step: Step) -> Told:
    """What this step's condition says; of a step that is a tensor, there is only one."""
    return state.told[0 if isinstance(step, Tensor) else min(step, len(state.told) - 1)]


@dataclass(frozen=True)
class Problems:
    """Chosen problems (B',)."""

    rows: Tensor

    def take(self, x: Tensor) -> Tensor:
        """(B, N, …) → (B', N, …)."""
        return x[self.rows]

    def put(self, full: Tensor, rows: Tensor) -> Tensor:
        """A copy of ``full`` with the chosen rows replaced."""
        full = full.clone()
        full[self.rows] = rows
        return full
