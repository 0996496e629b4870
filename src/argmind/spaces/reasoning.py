"""What the spaces of reasoning problems share: one candidate is an answer to all L tokens."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from argmind.errors import UserError
from argmind.nn.flops import linear_flops
from argmind.spaces.answers import Answers, Layout, ProblemEmbedding
from argmind.spaces.base import Embedding, Given, Space, SpaceFlops, Whole


class ReasoningSpace(Space):
    """Candidates (L, width), embedded token by token beside what is given.

    A step's length is counted in tokens (``y − L δ``), because the energy is their mean: it then
    fits problems of any size.
    """

    feature_axes = 2
    reads = "whole"
    #: What this space's answers are.
    answers_with: Literal["symbols", "numbers"]

    def __init__(self, dim: int, guesses: bool, inputs: dict[str, Any]) -> None:
        super().__init__()
        layout = Layout.of(inputs)
        if getattr(layout, self.answers_with) is None:
            fitting = "numbers" if self.answers_with == "symbols" else "grid"
            raise UserError(
                f"this space answers with {self.answers_with}, which the problem does not ask for: "
                f"set predictor.space={fitting}."
            )
        self.layout, self.answers, self.amortises = layout, Answers(layout), guesses
        self.metric, self.pair_dim, self.dim = Answers.metric, layout.width, dim
        self.problem = ProblemEmbedding(layout, dim)
        self.candidate = nn.Linear(layout.width, dim, bias=False)
        nn.init.normal_(self.candidate.weight, std=dim**-0.5)
        self.guess = nn.Linear(dim, layout.width, bias=False) if guesses else None
        if self.guess is not None:
            nn.init.normal_(self.guess.weight, std=dim**-0.5)

    def known_candidate(self, problem: dict[str, Tensor]) -> Given:
        """Where a problem's candidates start (B, L, width), and what of them never moves."""
        raise NotImplementedError

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """See :meth:`Answers.task`."""
        return self.answers.task(batch)

    def embed_context(self, context: dict[str, Tensor]) -> Whole:
        """Rows of what is given; there is no condition beside the model's own."""
        rows = self.problem(context)
        return Whole(rows.new_zeros(len(rows), self.dim), rows, self.known_candidate(context))

    def extent(self, problem: dict[str, Tensor]) -> tuple[int, int]:
        """How many problems, and tokens each."""
        batch, tokens = problem["known"].shape
        return batch, tokens

    def feature_shape(self) -> tuple[int, ...]:
        """(L, width) of a training problem."""
        return (self.layout.tokens, self.layout.width)

    def amortised(self, hidden: Tensor) -> Tensor:
        """A linear reading of what the body made of the given alone (B, L, D)."""
        return super().amortised(hidden) if self.guess is None else self.guess(hidden)

    def embed(self, point: Tensor) -> Embedding:
        """``W p``; heads pair with p."""
        return Embedding(self.candidate(point), point)

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """``y − L δ``."""
        return y - y.shape[-2] * delta

    def ideal(self, target: Tensor) -> Tensor:
        """See :meth:`Answers.ideal`."""
        return self.answers.ideal(target).to(self.candidate.weight)

    def decode(self, y: Tensor) -> Tensor:
        """The candidate: logits, or numbers."""
        return y

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """See :meth:`Answers.loss`."""
        return self.answers.loss(output, target)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See :meth:`Answers.scores`."""
        return self.answers.scores(output, target)

    def counts(self, target: Tensor) -> Tensor:
        """Every problem (B,) is learnt."""
        return torch.ones(len(target), dtype=torch.bool, device=target.device)

    def flops(self) -> SpaceFlops:
        """``2 width D`` to embed a token, as much for a first guess; given numbers once."""
        embed = linear_flops(self.candidate)
        start = 0.0 if self.guess is None else linear_flops(self.guess)
        context = self.problem.flops(self.layout.tokens)
        return SpaceFlops(start=start, embed=embed, entry=embed, context=context)
