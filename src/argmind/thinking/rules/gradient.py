"""Gradient descent, with and without momentum and noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.spaces.base import Space
from argmind.thinking.rules.base import Rule


@register("rule", "gradient")
class Gradient(Rule):
    """``δ = α ∇E``."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:
        pass


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
        step: int,
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


@register("rule", "langevin")
class Langevin(Rule):
    """``y ← y + σ ε`` before each step, then ``δ = α ∇E``: exploration while training.

    Inference is free of noise unless the budget asks for it. Source: Energy-Based Transformers,
    System 2 recipe (σ = 3 on text).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        noise_std: float = 3.0

        def __post_init__(self) -> None:
            if self.noise_std < 0:
                raise ValueError(f"noise_std may not be negative, got {self.noise_std}")

    def __init__(self, config: Config) -> None:
        self.noise_std = config.noise_std

    def before(
        self,
        space: Space,  # noqa: ARG002
        y: Tensor,
        memory: Tensor | None,  # noqa: ARG002
        step: int,  # noqa: ARG002
        noisy: bool,
        generator: Randomness,
    ) -> Tensor:
        """The candidate with fresh noise."""
        if not noisy:
            return y
        return y + self.noise_std * normal(y.shape, y, generator)
