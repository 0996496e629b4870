"""When a prediction is finished; a finished one no longer moves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.registry import Part, register


class Stop(Part):
    """``finished`` says, per prediction, whether this step's move is not worth making.

    ``settles`` is False where every prediction runs its whole budget, which needs no checks.
    """

    settles = True

    def finished(self, energy: Tensor, previous: Tensor | None, gradient: Tensor) -> Tensor:
        """(B, N, *P) bool, from this step's energy, the one before, and the gradient."""
        raise NotImplementedError


@register("stop", "fixed")
class Fixed(Stop):
    """Every prediction takes all the steps of its budget."""

    settles = False

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:
        pass


@register("stop", "plateau")
class Plateau(Stop):
    """Stop where the last move changed the energy by less than ``tolerance``."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        tolerance: float = 0.01

        def __post_init__(self) -> None:
            if self.tolerance < 0:
                raise ValueError(f"tolerance may not be negative, got {self.tolerance}")

    def __init__(self, config: Config) -> None:
        self.tolerance = config.tolerance

    def finished(self, energy: Tensor, previous: Tensor | None, gradient: Tensor) -> Tensor:  # noqa: ARG002
        """``|E_k − E_{k−1}| < tolerance``; never at the first step."""
        if previous is None:
            return energy != energy
        return (energy - previous).abs() < self.tolerance


@register("stop", "gradient_norm")
class GradientNorm(Stop):
    """Stop where the gradient's norm per prediction is below ``tolerance``.

    Source: EBT-Policy (which takes one norm for the whole batch; here samples never couple).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        tolerance: float = 0.01

        def __post_init__(self) -> None:
            if self.tolerance < 0:
                raise ValueError(f"tolerance may not be negative, got {self.tolerance}")

    def __init__(self, config: Config) -> None:
        self.tolerance = config.tolerance

    def finished(self, energy: Tensor, previous: Tensor | None, gradient: Tensor) -> Tensor:  # noqa: ARG002
        """``‖∇E‖ < tolerance`` over the features of one candidate."""
        return gradient.flatten(energy.ndim).norm(dim=-1) < self.tolerance
