"""What a rule does."""

from __future__ import annotations

from torch import Tensor

from argmind.nn.conditioning.base import Step
from argmind.randomness import Randomness
from argmind.registry import Part
from argmind.spaces.base import Space


class Rule(Part):
    """From energies and gradients to moves; ``memory`` is one tensor shaped as the point, or None.

    The base class is plain gradient descent: ``δ = α ∇E``.
    """

    def before(
        self,
        space: Space,  # noqa: ARG002
        y: Tensor,
        memory: Tensor | None,  # noqa: ARG002
        step: Step,  # noqa: ARG002
        noisy: bool,  # noqa: ARG002
        generator: Randomness,  # noqa: ARG002
    ) -> Tensor:
        """The candidate at which this step evaluates the energy (look-ahead, noise)."""
        return y

    def delta(
        self,
        gradient: Tensor,
        energy: Tensor,  # noqa: ARG002
        size: Tensor | float,
        memory: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The step δ to subtract, and the memory for the next one."""
        return size * gradient, memory


class Over(Rule):
    """Another rule, with something of it changed; as it stands, nothing."""

    def __init__(self, base: Rule) -> None:
        self.base = base

    def before(
        self,
        space: Space,
        y: Tensor,
        memory: Tensor | None,
        step: Step,
        noisy: bool,
        generator: Randomness,
    ) -> Tensor:
        """As the other rule has it."""
        return self.base.before(space, y, memory, step, noisy, generator)

    def delta(
        self, gradient: Tensor, energy: Tensor, size: Tensor | float, memory: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """As the other rule has it."""
        return self.base.delta(gradient, energy, size, memory)
