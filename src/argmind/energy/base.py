"""What an energy model does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from argmind.nn.conditioning.base import Step
from argmind.registry import Part
from argmind.spaces.base import Embedding, Given, Reading


class Selection(Protocol):
    """Some of the predictions: ``take`` their rows out of a tensor, ``put`` them back."""

    def take(self, x: Tensor) -> Tensor:
        """The chosen rows of (B, N, *P, …)."""
        ...

    def put(self, full: Tensor, rows: Tensor) -> Tensor:
        """A copy of ``full`` with the chosen rows replaced."""
        ...


class EnergyModel(nn.Module, Part):
    """``encode`` the context once; ``energy`` then scores candidates, lower meaning a better fit.

    Built with the number of landscapes, whether an amortised start is wanted, and the width of
    what its head pairs with (None: the model's own).

    The state is opaque to whoever thinks with it. Samples never couple: the energy of one
    prediction depends on its own context and candidate alone.
    """

    #: What a space must read problems as: a prediction for every position, or one answer each.
    reads: ClassVar[Reading] = "positions"
    #: Does it want to know how right its first guesses were so far (:meth:`remember`)?
    remembers: bool = False
    #: Does its head add to what a first guess is read from?
    adds_to_guess: bool = False

    def encode(self, context: Any, first: Tensor | None = None, after: Tensor | None = None) -> Any:
        """Everything about the context that candidates need.

        For sequences: ``first`` (B,) ends left padding; ``after`` (B, P) names the rows whose
        followers are asked for (default: every row's).
        """
        raise NotImplementedError

    def remember(self, state: Any, losses: Callable[[Tensor], Tensor]) -> Any:
        """The state, with what became of guesses at earlier rows; their losses are constants.

        Args:
            losses: of guesses made of the context stream's output at all rows but the last
                (B, S − 1, D), by what the row after each shows: (B, S − 1).
        """
        raise NotImplementedError

    def extend(self, state: Any, rows: Tensor) -> Any:
        """The state after one more context row (B, 1, D), which the next prediction follows."""
        raise NotImplementedError

    def keep(self, state: Any, rows: Tensor) -> Any:
        """The state of some of its problems, by index."""
        raise NotImplementedError

    def fixed(self, state: Any, capacity: int) -> Any | None:  # noqa: ARG002
        """The state in buffers for ``capacity`` rows; None where it has no such form.

        See :meth:`argmind.predictors.base.Predictor.fixed`.
        """
        return None

    def at(self, state: Any, step: int) -> Any | None:  # noqa: ARG002
        """What of the state this step sees: with it, a step may be a tensor.

        One compiled program then serves all steps. None where each step needs its own.
        """
        return None

    def ready(self, state: Any, step: Step) -> None:
        """Compute and keep in ``state`` what this step's energy needs of the context.

        Called outside of any derivative with respect to candidates, which the context does not
        depend on.
        """

    def hidden(self, state: Any) -> Tensor | None:
        """The context stream's output at each prediction (B, *P, D), for an amortised start."""
        raise NotImplementedError

    def given(self, state: Any) -> Given | None:  # noqa: ARG002
        """What the problem itself says of its answer, if anything."""
        return None

    def predictions(self, state: Any) -> torch.Size:
        """(B, *P): how many predictions this state asks for."""
        raise NotImplementedError

    def energy(self, state: Any, embedding: Embedding, step: Step) -> Tensor:
        """Energies (B, N, *P)."""
        raise NotImplementedError

    def level_to_learn(self, state: Any) -> Tensor | None:  # noqa: ARG002
        """What of energies the context alone decides (B, *P), the context a constant; None: 0."""
        return None

    def encode_flops(self, length: int, steps: float) -> float:
        """FLOPs of encoding one context of this length for ``steps`` energy evaluations."""
        raise NotImplementedError

    def energy_flops(self, length: int) -> float:
        """FLOPs of one candidate's energies at every prediction of a context of this length."""
        raise NotImplementedError

    def pair_flops(self, length: int) -> float:  # noqa: ARG002
        """What of these is products of two things that both depend on the candidate."""
        return 0.0

    def narrow(self, state: Any, active: Tensor) -> tuple[Any, Selection] | None:  # noqa: ARG002
        """A state for the active predictions (B, *P) only, or None where nothing would be saved."""
        return None
