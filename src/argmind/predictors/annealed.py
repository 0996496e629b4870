"""An energy model of many landscapes, from smooth to sharp, descended one after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from argmind.config import PartConfig, part, part_config
from argmind.diffusion.process import beta_schedule
from argmind.errors import UserError
from argmind.nn.conditioning.base import Step
from argmind.predictors.base import Prediction, Trace
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape, Slope
from argmind.thinking.select import choose, pick
from argmind.thinking.think import Plan, Thought, think
from argmind.thinking.thinker import ThinkingConfig


@register("predictor", "annealed")
class Annealed(EBT):
    """``∇E_k(a_k y + s_k ε) ≈ ε`` at K noise levels; answers descend all of them from pure noise.

    Between two levels the answer that the gradient stands for is noised less; at each of them
    ``thinking.steps`` steps of size ``β_k / s_k`` follow, and those that do not lower the energy
    are taken back. A budget's steps are shared out among the levels. Taught by the objective
    ``ired``. Source: Du, Mao & Tenenbaum 2024, "Learning Iterative Reasoning through Energy
    Diffusion" (IRED).
    """

    answers_with = "symbols"

    @dataclass(frozen=True, kw_only=True)
    class Config(EBT.Config):
        space: PartConfig = part("space", "grid", geometry="relaxed")
        body: PartConfig = part("body", "bidirectional", landscapes="told")
        levels: int = 10
        #: Answers lie within ± this.
        clip: float = 1.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.levels < 2:
                raise ValueError(f"levels must be at least 2, got {self.levels}")
            if not self.clip > 0:
                raise ValueError(f"clip must be positive, got {self.clip}")
            if getattr(self.body, "landscapes", "told") != "told":
                raise ValueError("every level is a landscape of its own: set body.landscapes=told")
            if getattr(self.space, "geometry", "relaxed") != "relaxed":
                raise ValueError("noise is added to answers as numbers: set space.geometry=relaxed")

    def __init__(self, config: Config, thinking: ThinkingConfig, **inputs: Any) -> None:
        if thinking.landscapes not in (None, config.levels):
            raise UserError("the landscapes are predictor.levels: leave out thinking.landscapes.")
        # Levels have step sizes of their own; a learned one would never be taught.
        schedule = part_config("schedule", "constant")
        levelled = replace(thinking, landscapes=config.levels, schedule=schedule)
        super().__init__(config, levelled, **inputs)
        self.levels, self.clip = config.levels, config.clip
        betas = beta_schedule("cosine", config.levels)
        share = torch.cumprod(1 - betas, 0)
        #: a² and step size of each level, the noisiest first.
        self.share: list[float] = share.flip(0).tolist()
        self.sizes: list[float] = (betas / (1 - share).sqrt()).flip(0).tolist()

    @property
    def trained_steps(self) -> int:
        """Those of all levels together."""
        return self.levels * self.thinker.config.steps

    def scales(self, level: int) -> tuple[float, float]:
        """a and s of a level."""
        share = self.share[level]
        return share**0.5, (1 - share) ** 0.5

    def at_level(self, landscape: Landscape, level: int) -> Landscape:
        """The landscape of this level, whatever step asks."""
        return Level(landscape.space, landscape.body, landscape.state, level)

    @torch.no_grad()
    def predict_from(self, state: Any, budget: Budget, generator: Randomness = None) -> Prediction:
        """Descend all levels; without a generator, draws come from one seeded with 0."""
        if generator is None:
            generator = torch.Generator(next(self.parameters()).device).manual_seed(0)
        whole = Landscape(self.space, self.body, state)
        given = self.body.given(state)
        assert given is not None  # reasoning spaces say where candidates begin
        start = given.candidate[:, None].expand(-1, budget.candidates, *given.candidate.shape[1:])
        y = whole.hold(normal(start.shape, start, generator))
        thoughts: list[Thought] = []
        inner = self._inner_steps(budget)
        for level in range(self.levels):
            landscape = self.at_level(whole, level)
            thoughts.append(think(landscape, y, self._plan(level, inner)))
            y = self._next(landscape, thoughts[-1].candidate, level)
        return self._prediction(thoughts, y, budget)

    def _inner_steps(self, budget: Budget) -> int:
        if budget.steps is None:
            return self.thinker.config.steps
        return max(1, budget.steps // self.levels)

    def _plan(self, level: int, steps: int) -> Plan:
        size = self.sizes[level]
        return Plan(steps=steps, rule=self.thinker.rule, sizes=lambda _: size, accept_lower=True)

    def _next(self, landscape: Landscape, y: Tensor, level: int) -> Tensor:
        """The answer that y stands for, noised as the next level has it; after the last, itself."""
        data, noise = self.scales(level)
        slope = landscape.slope(y, level, graph=False)
        told = y - landscape.move(y, slope.point, slope.gradient)
        clean = ((y - noise * told) / data).clamp(-self.clip, self.clip)
        if level + 1 == self.levels:
            return landscape.hold(clean)
        data, noise = self.scales(level + 1)
        return landscape.hold(data * clean + noise * told)

    def _prediction(self, thoughts: list[Thought], y: Tensor, budget: Budget) -> Prediction:
        last = thoughts[-1]
        assert last.energy is not None  # inference always scores
        bad = torch.stack([thought.diverged for thought in thoughts]).any(0)
        bad = bad | ~y.flatten(2).isfinite().all(-1)
        index = choose(
            Thought(y, last.energy, last.steps, last.nfe, bad, last.energies), "min_energy"
        )
        steps = torch.stack([thought.steps for thought in thoughts]).sum(0)
        # One evaluation more a level, which leads to the next.
        nfe = torch.stack([thought.nfe for thought in thoughts]).sum(0) + self.levels
        candidate = pick(y, index)
        trace = None
        if budget.trace:
            ends = [*(thought.candidate for thought in thoughts), y]
            energies = [*(t.energy for t in thoughts if t.energy is not None), last.energy]
            trace = Trace(
                [self.space.decode(pick(end, index)) for end in ends],
                [pick(energy, index) for energy in energies],
            )
        return Prediction(
            output=self.space.decode(candidate),
            candidate=candidate,
            energy=pick(last.energy, index),
            steps=pick(steps, index),
            nfe=nfe.sum(1),
            diverged=pick(bad, index),
            trace=trace,
        )

    def prediction_flops(self, length: int, budget: Budget) -> float:
        """Per level its steps, an energy, and a step that leads to the next."""
        seen = self.body.energy_flops(length) + length * self.space.flops().embed
        each = self.levels * (2 * (self._inner_steps(budget) + 1) + 1) * seen
        encoded = self.body.encode_flops(length, self.levels) + self.space.flops().context
        return encoded + budget.candidates * each


class Level(Landscape):
    """One landscape of several."""

    def __init__(self, space: Any, body: Any, state: Any, level: int) -> None:
        super().__init__(space, body, state)
        self.level = level

    def slope(self, y: Tensor, step: Step, graph: bool) -> Slope:  # noqa: ARG002
        """At this level."""
        return super().slope(y, self.level, graph)

    def energy(self, y: Tensor, step: int) -> Tensor:  # noqa: ARG002
        """At this level."""
        return super().energy(y, self.level)
