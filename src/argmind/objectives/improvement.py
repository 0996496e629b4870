"""Loss on improvement: every step must leave less of the loss than it found."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from argmind.objectives.thinking import Lesson, ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.registry import register
from argmind.thinking.think import Thought


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

    def _judged(self, thought: Thought, target: Tensor, stop: int, steps: int) -> Lesson:
        lesson = super()._judged(thought, target, stop, steps)
        space = self.predictor.space
        learnt = space.counts(target)[:, None].expand(thought.diverged.shape)
        losses = [space.loss(y, target) for y in thought.candidates]
        missing = [
            ((after - self.kept * before.detach()).clamp(min=0) * learnt).sum()
            for before, after in pairwise(losses)
        ]
        short = torch.stack(missing).sum() / (steps * learnt.sum().clamp(min=1))
        value = self.weight * short
        return lesson._replace(value=value if lesson.value is None else lesson.value + value)

    @property
    def _every_step_teaches(self) -> bool:
        return True
