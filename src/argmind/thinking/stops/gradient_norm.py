"""Stop where the landscape is flat."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.registry import register
from argmind.thinking.stops.base import Stop


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
