"""Loss on improvement: every step must leave less of the loss than it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from argmind.objectives.lesson import Found, mean
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.registry import register


@register("objective", "improvement")
class Improvement(ThinkingObjective):
    """``ℓ + w · mean_k max(0, ℓ_{k+1} − ρ ℓ_k)``, what a step found being a constant.

    A step that keeps no more than the share ρ of the loss costs nothing beside the task loss; one
    that makes things worse costs most. Means over steps and predictions.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        loss_on: Literal["all", "last"] = "all"
        improvement_weight: float = 1.0
        #: Share of the loss that a step may leave (ρ).
        kept: float = 0.7

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.improvement_weight < 0:
                raise ValueError(
                    f"improvement_weight may not be negative, got {self.improvement_weight}"
                )
            if not 0 <= self.kept <= 1:
                raise ValueError(f"kept must lie in [0, 1], got {self.kept}")

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__(config, predictor)
        self.weight, self.kept = config.improvement_weight, config.kept

    def _value(
        self, found: Found, task: Tensor | None, error: Tensor | None, steps: int, last: bool
    ) -> Tensor | None:
        value = super()._value(found, task, error, steps, last)
        assert found.before is not None
        assert found.after is not None
        missing = (found.after - self.kept * found.before).clamp(min=0)
        short = self.weight * mean(missing, found.learnt) / steps
        return short if value is None else value + short

    def _judges(self, last: bool) -> bool:  # noqa: ARG002
        return True

    @property
    def _compares(self) -> bool:
        return True
