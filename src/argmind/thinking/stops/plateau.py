"""Stop when the energy no longer changes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.registry import register
from argmind.thinking.stops.base import Stop


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
