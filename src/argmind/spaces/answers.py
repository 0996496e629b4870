"""Reasoning problems as models see them: what is given, where, and how answers are judged.

A problem is L tokens; a batch is described in :mod:`argmind.data.reasoning.base`. Answers are one
of K symbols a token, or W numbers a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.errors import UserError
from argmind.nn.flops import linear_flops
from argmind.spaces.base import token_loss

#: What of a batch is the problem; the rest is the answer, and what is known about both.
ASKED = ("given", "known", "places")
#: The target of a token that is not asked for, where answers are symbols; for numbers it is NaN.
NOT_ASKED = -1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the data says of its problems; exactly one of each pair is a number.

    ``tokens`` are those of a training problem; other splits may have more or fewer.
    """

    tokens: int
    places: Sequence[int]
    symbols: int | None = None
    numbers: int | None = None
    given_symbols: int | None = None
    given_numbers: int | None = None

    @classmethod
    def of(cls, inputs: dict[str, Any]) -> Layout:
        """Read what the data says of itself.

        Raises:
            UserError: the data is not of reasoning problems.
        """
        known = {item.name for item in fields(cls)}
        if not set(inputs) <= known or "tokens" not in inputs:
            raise UserError(
                "this model answers reasoning problems (data.kind=reasoning); the data given here "
                f"is described by {', '.join(sorted(inputs)) or 'nothing'}."
            )
        return cls(**inputs)

    @property
    def width(self) -> int:
        """Numbers that an output has for each token: logits of symbols, or the answer."""
        return self.symbols or self.numbers or 0


class ProblemEmbedding(nn.Module):
    """What is given of each token plus learned vectors for its places: (B, L, D)."""

    def __init__(self, layout: Layout, dim: int) -> None:
        super().__init__()
        symbols, numbers = layout.given_symbols, layout.given_numbers
        self.given = nn.Embedding(symbols, dim) if symbols else nn.Linear(numbers or 0, dim)
        self.places = nn.ModuleList(nn.Embedding(size, dim) for size in layout.places)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=dim**-0.5)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, problem: dict[str, Tensor]) -> Tensor:
        """Rows of the model."""
        given = problem["given"]
        if given.is_floating_point():
            given = given.to(self.given.weight)
        rows = self.given(given)
        for place, axis in zip(self.places, problem["places"].unbind(-1), strict=True):
            rows = rows + place(axis)
        return rows

    def flops(self, tokens: int) -> float:
        """The product with given numbers; symbols are looked up."""
        return tokens * linear_flops(self.given)


class Answers:
    """Tasks, losses and scores of outputs (…, L, width), whoever gives them."""

    metric = "loss"

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.width = layout.width

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The problem, and the answers asked for (B, L, …)."""
        problem = {name: batch[name] for name in ASKED}
        target, known = batch["target"], batch["known"]
        nothing = NOT_ASKED if self.layout.symbols else torch.nan
        known = known.reshape(*known.shape, *(1,) * (target.ndim - known.ndim))
        return problem, target.masked_fill(known, nothing)

    def ideal(self, target: Tensor) -> Tensor:
        """Numbers (…, L, width) for an answer: ±1 for symbols (0 where nothing is asked)."""
        if not self.layout.symbols:
            return target.nan_to_num()
        sure = 2.0 * F.one_hot(target.clamp(min=0), self.width) - 1.0
        return sure.masked_fill((target == NOT_ASKED)[..., None], 0.0)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over the tokens asked for: cross-entropy in nats, or squared error; (…)."""
        if self.layout.symbols:
            asked = target != NOT_ASKED
            each = token_loss(output, target.clamp(min=0))
        else:
            asked = ~target.isnan().any(-1)
            each = (output - target.nan_to_num()).square().mean(-1)
        return (each * asked).sum(-1) / asked.sum(-1).clamp(min=1)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Of symbols: is the whole problem ``solved``, and which share of its tokens is right."""
        if not self.layout.symbols:
            return {}
        asked = target != NOT_ASKED
        right = (output.argmax(-1) == target) & asked
        share = right.sum(-1) / asked.sum(-1).clamp(min=1)
        return {"solved": (right == asked).all(-1).to(share), "tokens_right": share}

    def unsure(self, output: Tensor) -> Tensor:
        """How unsure a model without an energy is: mean entropy in nats; 0 where it cannot say."""
        if not self.layout.symbols:
            return output.new_zeros(output.shape[:-2])
        log_p = F.log_softmax(output.to(torch.promote_types(output.dtype, torch.float32)), dim=-1)
        return -(log_p.exp() * log_p).sum(-1).mean(-1)
