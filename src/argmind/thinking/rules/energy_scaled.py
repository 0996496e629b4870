"""Steps that are longer where the energy is higher."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig, part
from argmind.registry import register
from argmind.thinking.rules.base import Over


@register("rule", "energy_scaled")
class EnergyScaled(Over):
    """Another rule with step sizes ``α exp(E) / temperature``, part of what is differentiated.

    An energy is learnt whose exponential is how far there is to go. That is safe only while the
    energy has bounds: above them one step leaves the finite numbers, below them steps vanish, and
    with them all that could be learnt from. So E counts as no more than ±bound here; within, the
    formula is the published one, which has none. Source: EBT-Policy.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        base: PartConfig = part("rule", "gradient")
        temperature: float = 1.0
        bound: float = 3.0

        def __post_init__(self) -> None:
            for name in ("temperature", "bound"):
                if not getattr(self, name) > 0:
                    raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def __init__(self, config: Config) -> None:
        super().__init__(config.base.build())
        self.temperature, self.bound = config.temperature, config.bound

    def delta(
        self, gradient: Tensor, energy: Tensor, size: Tensor | float, memory: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The other rule's, with the scaled size."""
        scale = energy.clamp(-self.bound, self.bound).exp() / self.temperature
        scale = scale.reshape(scale.shape + (1,) * (gradient.ndim - scale.ndim)).to(gradient)
        return super().delta(gradient, energy, size * scale, memory)
