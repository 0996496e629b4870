"""Momentum, with and without look-ahead."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Step
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.spaces.base import Space
from argmind.thinking.rules.base import Rule


@register("rule", "momentum")
class Momentum(Rule):
    """``v ← μ v + α ∇E``; ``δ = v``; with ``nesterov`` the energy is taken at ``y`` moved by μ v.

    Source: Polyak 1964; Nesterov 1983 (EBT-Policy uses the look-ahead form).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        momentum: float = 0.9
        nesterov: bool = False

        def __post_init__(self) -> None:
            if not 0 <= self.momentum < 1:
                raise ValueError(f"momentum must lie in [0, 1), got {self.momentum}")

    def __init__(self, config: Config) -> None:
        self.momentum, self.nesterov = config.momentum, config.nesterov

    def before(
        self,
        space: Space,
        y: Tensor,
        memory: Tensor | None,
        step: Step,
        noisy: bool,  # noqa: ARG002
        generator: Randomness,  # noqa: ARG002
    ) -> Tensor:
        """With ``nesterov``, the candidate after the part of the move already decided."""
        if memory is None or not self.nesterov:
            return y
        return space.move(y, space.point(y, step), self.momentum * memory)

    def delta(
        self, gradient: Tensor, energy: Tensor, size: Tensor | float, memory: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The velocity; after a look-ahead only its new part is left to move."""
        fresh, _ = super().delta(gradient, energy, size, None)
        velocity = fresh if memory is None else self.momentum * memory + fresh
        return (fresh if self.nesterov else velocity), velocity
