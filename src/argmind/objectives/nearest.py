"""Learning through thinking where several answers are right: of several starts, the nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from argmind.errors import UserError
from argmind.objectives.lesson import Opening
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape
from argmind.thinking.select import pick
from argmind.thinking.think import Through, take_step


@register("objective", "nearest")
class Nearest(ThinkingObjective):
    """Of ``starts`` noise starts, the one whose thought ends nearest to the target is taught.

    A start that is drawn without looking says nothing of the target, so that the best answer from
    it is the mean of all that may be right: from such starts a task loss cannot learn to choose.
    Here each start comes to stand for one of the answers. The starts are followed for
    ``scout_steps`` steps, without noise and without a graph. Source: Li & Malik 2018 (implicit
    maximum likelihood), Rana et al. 2025 (IMLE policy).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        through: Through = "none"
        loss_on: Literal["all", "last"] = "all"
        starts: int = 4
        scout_steps: int = 2

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.starts < 2:
                raise ValueError(f"starts must be at least 2 to choose from, got {self.starts}")
            if self.scout_steps < 1:
                raise ValueError(f"scout_steps must be at least 1, got {self.scout_steps}")
            for name in ("replay_samples", "noisy_starts"):
                if getattr(self, name):
                    raise ValueError(f"{name} would replace the start that was chosen: leave it 0")

    config: Config

    def __init__(self, config: Config, predictor: EBT) -> None:
        if not predictor.space.continuous:
            raise UserError(
                f"{config.part_name} keeps right answers apart that have others between them; "
                f"{type(predictor.space).__name__} tells shares of its answers. Use thinking."
            )
        super().__init__(config, predictor)

    def _opening(
        self, samples: dict[str, Tensor], past: Tensor | None, steps: int, source: Randomness
    ) -> Opening:
        """As without choosing, but for the start."""
        opening = super()._opening(samples, past, max(steps, self.config.scout_steps), source)
        model = self.predictor
        landscape = Landscape(model.space, model.body, opening.state)
        with torch.no_grad():
            others = model.thinker.start(landscape, self.config.starts, source)
            losses = self._losses(self._scouted(landscape, others, opening.sizes), opening.target)
            nearest = pick(others, losses.argmin(1))[:, None].contiguous()
        # Not by _replace, here and in every stage: the compiler of PyTorch 2.11 fails on it.
        return Opening(opening.state, nearest, nearest, opening.target, opening.sizes[:steps])

    def _scouted(self, landscape: Landscape, y: Tensor, sizes: list[Tensor]) -> Tensor:
        """Where candidates come to."""
        memory, rule = None, self.predictor.thinker.rule
        for step in range(self.config.scout_steps):
            size = sizes[step]
            y, _, memory = take_step(
                landscape, rule, y, memory, step, size, graph=False, noisy=False, generator=None
            )
        return y

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """And two passes a scouted step and start."""
        count, length = self.predictor.extent(self.predictor.task(batch)[0])
        one, more = (
            self.predictor.prediction_flops(length, Budget(steps=steps, score=False))
            for steps in (1, 1 + self.config.scout_steps)
        )
        return super().training_flops(batch) + count * self.config.starts * (more - one)
