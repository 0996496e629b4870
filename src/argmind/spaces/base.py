"""The geometry of answers.

Shapes: B problems, N candidates each, P prediction axes (``(S,)`` for text), F feature axes of one
candidate. A candidate is one tensor (B, N, *P, *F); an energy is (B, N, *P).
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.errors import UserError
from argmind.randomness import Randomness, normal
from argmind.registry import Part

StartKind = Literal["noise", "zeros", "amortised", "given"]


class Embedding(NamedTuple):
    """What an energy model sees of candidates: transformer input, and what a head pairs with."""

    input: Tensor  # (B, N, *P, D)
    pair: Tensor  # (B, N, *P, D)


class SpaceFlops(NamedTuple):
    """Forward matmul FLOPs of what a space does with one candidate of one prediction."""

    start: float = 0.0  # an amortised first guess
    point: float = 0.0  # from the candidate to where the energy is differentiated
    embed: float = 0.0  # from there to what the model sees
    decode: float = 0.0
    #: The share of point and embed that reads the candidate itself: the gradient into a candidate
    #: that is a constant is never needed.
    entry: float = 0.0


class Space(nn.Module, Part):
    """How candidates start, are seen, move, are judged and are read.

    One thinking step at candidate ``y``: the energy is differentiated at ``point(y)``, which the
    model sees as ``embed(point)``; the step ``delta`` (a descent direction times a step size) then
    gives the next candidate ``move(y, point, delta)``. Where the variable is the point itself,
    this is plain gradient descent; a dual space keeps the candidate in other coordinates.
    """

    #: How many trailing axes of a candidate belong to one prediction.
    feature_axes: ClassVar[int] = 1
    #: Can it turn the context stream's output into a first guess?
    amortises: ClassVar[bool] = False

    def task(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """A batch as what is given (B, S, …) and what is to be predicted (B, *P, …)."""
        raise NotImplementedError

    def embed_context(self, context: Tensor) -> Tensor:
        """The given elements as transformer input (B, S, D)."""
        raise NotImplementedError

    def feature_shape(self) -> tuple[int, ...]:
        """Shape F of one candidate."""
        raise NotImplementedError

    def amortised(self, hidden: Tensor) -> Tensor:  # noqa: ARG002
        """A first guess (B, *P, *F) from the context stream's output (B, *P, D)."""
        raise UserError(f"{type(self).__name__} has no amortised start.")

    def point(self, y: Tensor, step: int) -> Tensor:  # noqa: ARG002
        """Where the energy is differentiated."""
        return y

    def embed(self, point: Tensor) -> Embedding:
        """What the energy model sees."""
        raise NotImplementedError

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """The candidate after a step."""
        return y - delta

    def decode(self, y: Tensor) -> Tensor:
        """Candidates in the user's terms, for text logits (..., V)."""
        raise NotImplementedError

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Task loss per prediction of decoded outputs, given targets of matching shape."""
        raise NotImplementedError

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
    ) -> Tensor:
        """First candidates (B, N, *P, *F) for ``predictions`` = (B, N, *P).

        ``noise``: N(0, noise_std²); ``zeros``; ``amortised``: the first guess, candidates after
        the first perturbed by noise, so that several of them differ.
        """
        weight = next(self.parameters())
        shape = (*predictions, *self.feature_shape())
        if kind == "zeros":
            return torch.zeros(shape, device=weight.device, dtype=weight.dtype)
        if kind == "noise":
            return noise_std * normal(shape, weight, generator)
        if kind != "amortised" or hidden is None:
            raise ValueError(f"cannot start from {kind!r} without a context stream output")
        first = self.amortised(hidden)[:, None]
        if predictions[1] == 1:
            return first
        rest = (predictions[0], predictions[1] - 1, *shape[2:])
        others = first + noise_std * normal(rest, weight, generator)
        return torch.cat([first, others], dim=1)


def token_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in nats of logits (..., V), targets (...)."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    flat = F.cross_entropy(wide.flatten(0, -2), target.flatten(), reduction="none")
    return flat.view(target.shape)


def next_token(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Windows of tokens (B, S + 1) as contexts (B, S) and what follows each of their elements."""
    tokens = batch["tokens"]
    return tokens[:, :-1], tokens[:, 1:]
