"""Progressive step counts: thinking grows longer as training goes on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.objectives.base import Loss
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.registry import register


@register("objective", "progressive")
class Progressive(ThinkingObjective):
    """From ``first_steps`` to ``thinking.steps`` over the first ``over_batches`` batches.

    Every number of steps gets as much work: batches in inverse proportion to it. Early training is
    cheap, and the first steps are good before later ones build on them. The count of batches is
    part of the runtime state.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        first_steps: int = 1
        over_batches: int = 500

        def __post_init__(self) -> None:
            super().__post_init__()
            for name in ("first_steps", "over_batches"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
            if self.fewest_steps is not None:
                raise ValueError("fewest_steps draws the number of steps; leave it out here")

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__(config, predictor)
        self.first, self.over = config.first_steps, config.over_batches
        self.seen = 0

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of one batch, with as many steps as it is time for."""
        loss = super().forward(batch, generator)
        self.seen += self.training
        return loss

    @property
    def repeats(self) -> bool:
        """Not as long as steps are added."""
        return False

    def _steps(self, generator: torch.Generator) -> int:  # noqa: ARG002
        most = self.predictor.thinker.config.steps
        counts = range(self.first, most + 1)
        work = sum(1 / count for count in counts) * self.seen / self.over
        for count in counts:
            work -= 1 / count
            if work < 0:
                return count
        return most

    def runtime_state(self) -> dict[str, Tensor]:
        """Batches seen, and the replay buffer."""
        return {**super().runtime_state(), "seen": torch.tensor(self.seen)}

    def load_runtime_state(self, state: dict[str, Tensor]) -> None:
        """Go on counting."""
        rest = dict(state)
        self.seen = int(rest.pop("seen"))
        if rest:
            super().load_runtime_state(rest)
