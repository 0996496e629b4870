"""The geometry of answers.

Shapes: B problems, N candidates each, P prediction axes (``(S,)`` for text), F feature axes of one
candidate. A candidate is one tensor (B, N, *P, *F); an energy is (B, N, *P).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.errors import UserError
from argmind.nn.conditioning.base import Step
from argmind.randomness import Randomness, normal
from argmind.registry import Part

StartKind = Literal["noise", "zeros", "amortised", "given"]
Reading = Literal["positions", "whole", "frames"]
#: What a predictor is asked: tokens (B, S), or named tensors that its space understands.
Problem = Tensor | dict[str, Tensor]
#: Hidden states (..., D) in the terms of what heads pair with (..., Q).
Readout = Callable[[Tensor], Tensor]


class Embedding(NamedTuple):
    """What an energy model sees of candidates: transformer input, and what a head pairs with."""

    input: Tensor  # (B, N, *P, D)
    pair: Tensor  # (B, N, *P, D)
    read: Readout | None = None  # as a first guess is


class Given(NamedTuple):
    """What a problem says of its answer: a candidate (B, *P, *F), and which entries are known."""

    candidate: Tensor
    held: Tensor | None = None  # bool, broadcasts to the candidate: these entries never move

    def pick(self, index: Tensor) -> Given:
        """Some of the problems."""
        return Given(self.candidate[index], None if self.held is None else self.held[index])


class Whole(NamedTuple):
    """A problem with one answer, as a bidirectional model reads it."""

    condition: Tensor  # (B, D)
    rows: Tensor | None = None  # (B, L, D), added to those of a candidate
    given: Given | None = None

    def pick(self, index: Tensor) -> Whole:
        """Some of the problems."""
        rows = None if self.rows is None else self.rows[index]
        given = None if self.given is None else self.given.pick(index)
        return Whole(self.condition[index], rows, given)


class SpaceFlops(NamedTuple):
    """Forward matmul FLOPs of what a space does with one candidate, per row of the model."""

    start: float = 0.0  # an amortised first guess
    point: float = 0.0  # from the candidate to where the energy is differentiated
    embed: float = 0.0  # from there to what the model sees
    decode: float = 0.0
    #: The share of point and embed that reads the candidate itself: the gradient into a candidate
    #: that is a constant is never needed.
    entry: float = 0.0
    context: float = 0.0  # reading a problem, once


class Space(nn.Module, Part):
    """How candidates start, are seen, move, are judged and are read.

    One thinking step at candidate ``y``: the energy is differentiated at ``point(y)``, which the
    model sees as ``embed(point)``; the step ``delta`` (a descent direction times a step size) then
    gives the next candidate ``move(y, point, delta)``. Where the variable is the point itself,
    this is plain gradient descent; a dual space keeps the candidate in other coordinates.
    """

    #: How many trailing axes of a candidate belong to one prediction.
    feature_axes: ClassVar[int] = 1
    #: Problems are read as rows with a prediction each (B, S, D), as a :class:`Whole`, or as rows
    #: of observed frames (B, F, D).
    reads: ClassVar[Reading] = "positions"
    #: Are targets candidates themselves, with others between them?
    continuous: bool = False
    #: Is :meth:`point` the same at every step?
    steps_alike: bool = True
    #: Can it turn the context stream's output into a first guess?
    amortises: bool = False
    #: Are first guesses at earlier rows to be judged by what a context shows (:meth:`shown`)?
    shows: bool = False
    #: Width of what heads pair with (None: the model's own).
    pair_dim: int | None = None
    #: What the task loss is called.
    metric: str = "loss"

    @property
    def body_inputs(self) -> dict[str, Any]:
        """What a body must know of the data to be built, beside the width that heads pair with."""
        return {}

    @property
    def guess_readout(self) -> Readout | None:
        """From hidden states to a first guess, for heads that add to it; None: no such."""
        return None

    def task(self, batch: dict[str, Tensor]) -> tuple[Any, Tensor]:
        """A batch as a problem and what is to be predicted (B, *P, …)."""
        raise NotImplementedError

    def embed_context(self, context: Any) -> Any:
        """A problem as the body reads it: transformer input (B, S, D), or a :class:`Whole`."""
        raise NotImplementedError

    def shown(self, context: Any) -> Tensor:
        """The answers (B, S − 1, …) that a context shows to have followed its earlier rows."""
        raise NotImplementedError

    def extent(self, problem: Any) -> tuple[int, int]:
        """How many problems, and how many rows of the model each takes."""
        batch, length = problem.shape
        return batch, length

    def feature_shape(self) -> tuple[int, ...]:
        """Shape F of one candidate."""
        raise NotImplementedError

    def amortised(self, hidden: Tensor) -> Tensor:  # noqa: ARG002
        """A first guess (B, *P, *F) from the context stream's output (B, *P, D)."""
        raise UserError(f"{type(self).__name__} has no amortised start.")

    def begin(self, y: Tensor) -> Tensor:
        """The candidate with which a step begins, before the rule's noise and look-ahead.

        Where it is not ``y`` itself, :meth:`move` has to go from the point.
        """
        return y

    def point(self, y: Tensor, step: Step) -> Tensor:  # noqa: ARG002
        """Where the energy is differentiated."""
        return y

    def embed(self, point: Tensor) -> Embedding:
        """What the energy model sees."""
        raise NotImplementedError

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """The candidate after a step."""
        return y - delta

    def move_by_constant(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:
        """The same where the gradient was taken without a graph: nothing is learnt through it."""
        return self.move(y, point, delta)

    def stepped(self, y: Tensor) -> Tensor:
        """A start in the memory layout of candidates after a step: one program serves all steps."""
        return y.contiguous()

    def decode(self, y: Tensor) -> Tensor:
        """Candidates in the user's terms, for text logits (..., V)."""
        raise NotImplementedError

    def ideal(self, target: Tensor) -> Tensor:
        """Candidates (B, *P, *F) that answer targets; where answers are continuous, they are it."""
        return target

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Task loss per prediction of decoded outputs, given targets of matching shape."""
        raise NotImplementedError

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Further measures of decoded outputs, each per prediction, by name."""
        return {}

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """Task loss (B, N, *P) of candidates, given targets (B, *P, …)."""
        every = target[:, None].expand(len(y), y.shape[1], *target.shape[1:])
        return self.output_loss(self.decode(y), every)

    def counts(self, target: Tensor) -> Tensor:
        """Which predictions (B, *P) are learnt; evaluation judges them all."""
        raise NotImplementedError

    def flops(self) -> SpaceFlops:
        """What this geometry costs beside the transformer."""
        raise NotImplementedError

    def start(
        self,
        kind: StartKind,
        predictions: torch.Size,
        hidden: Tensor | None,
        noise_std: float,
        generator: Randomness,
        given: Tensor | None = None,
    ) -> Tensor:
        """First candidates (B, N, *P, *F) for ``predictions`` = (B, N, *P).

        ``noise``: N(0, noise_std²); ``zeros``; ``given``: what the problem offers (B, *P, *F);
        ``amortised``: the first guess, a correction of that where there is one. Candidates after
        the first are perturbed by noise, so that several of them differ. Candidates are as large as
        what the problem offers.
        """
        weight = next(self.parameters())
        offered = () if given is None else given.shape[-self.feature_axes :]
        shape = (*predictions, *(offered or self.feature_shape()))
        if kind == "noise":
            return noise_std * normal(shape, weight, generator)
        if kind == "zeros":
            first = weight.new_zeros(shape[0], 1, *shape[2:])
        else:
            first = self._first(kind, hidden, given)[:, None]
        if predictions[1] == 1:
            return first
        rest = (predictions[0], predictions[1] - 1, *shape[2:])
        others = first + noise_std * normal(rest, weight, generator)
        return torch.cat([first, others], dim=1)

    def _first(self, kind: StartKind, hidden: Tensor | None, given: Tensor | None) -> Tensor:
        if kind == "given":
            if given is None:
                raise UserError("the start is the given candidate, and this problem gives none.")
            return given
        if hidden is None:
            raise ValueError(f"cannot start from {kind!r} without a context stream output")
        guess = self.amortised(hidden)
        return guess if given is None else given + guess


def token_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in nats of logits (..., V), targets (...)."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    flat = F.cross_entropy(wide.flatten(0, -2), target.flatten(), reduction="none")
    return flat.view(target.shape)


def next_token(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Windows of tokens (B, S + 1) as contexts (B, S) and what follows each of their elements."""
    tokens = batch["tokens"]
    return tokens[:, :-1], tokens[:, 1:]
