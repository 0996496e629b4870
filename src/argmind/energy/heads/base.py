"""What an energy head is; none has a bias, since a bias on the energy has no gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.errors import UserError
from argmind.registry import Part
from argmind.spaces.base import Embedding


class Head(nn.Module, Part):
    """``forward(h, pair) → energy``: hidden states (..., D) and what the space pairs with them.

    Built with the width D, and that of the pair.
    """

    #: Does it read hidden states as a first guess is read, adding to what that was read from?
    adds_to_guess: bool = False

    def forward(self, h: Tensor, pair: Tensor) -> Tensor:
        """Energies (...) of hidden states (..., D) and what the space pairs with them (..., Q)."""
        raise NotImplementedError

    def added(self, h: Tensor) -> Tensor:
        """What hidden states add to those (..., D) that a first guess was read from."""
        raise NotImplementedError

    def score(self, h: Tensor, embedding: Embedding, guessed: Tensor | None = None) -> Tensor:
        """Energies (...) of hidden states (..., D) of candidates that are seen like this.

        ``guessed`` (..., D): what the first guess was read from, for a head that adds to it.
        """
        if not self.adds_to_guess:
            return self(h, embedding.pair)
        assert embedding.read is not None  # seen to when the model was built
        assert guessed is not None
        return self(embedding.read(guessed + self.added(h)), embedding.pair)

    def zero(self) -> None:
        """Start at zero energy."""
        for weight in self.parameters():
            nn.init.zeros_(weight)


def alone(head: Head, body: str) -> Head:
    """The head, for a body that has no first guess at hand.

    Raises:
        UserError: the head adds to one.
    """
    if head.adds_to_guess:
        raise UserError(
            f"head.readout=guess adds to a first guess that body '{body}' would have to make anew "
            "for every energy: choose head.readout=own."
        )
    return head


def wide(x: Tensor) -> Tensor:
    """In float32 at least: energies are statistics, whose differences are what thinking follows."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def scalar(h: Tensor, weight: Tensor) -> Tensor:
    """``⟨w, h⟩`` (...) for a weight (1, D), in float32 at least under autocast too."""
    with torch.autocast(h.device.type, enabled=False):
        return F.linear(wide(h), wide(weight)).squeeze(-1)
