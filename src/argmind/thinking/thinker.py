"""How a model thinks unless told otherwise: the part of a recipe called ``thinking``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argmind.config import PartConfig, part, parts_of
from argmind.errors import UserError
from argmind.nn.conditioning.base import Step
from argmind.randomness import Randomness
from argmind.registry import require_second_order
from argmind.spaces.base import StartKind
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape
from argmind.thinking.rules.base import Rule
from argmind.thinking.schedules.base import Schedule, Sizes
from argmind.thinking.think import Plan, Taken, Thought, Through, take_step, think


@dataclass(frozen=True, kw_only=True)
class ThinkingConfig:
    """Start, rule, schedule and number of steps.

    ``steps`` is the number trained (the most, where training draws it); ``landscapes`` how many
    steps a step-conditioned model tells apart (default: ``steps``).
    """

    steps: int = 2
    start: StartKind = "amortised"
    start_noise_std: float = 1.0
    rule: PartConfig = part("rule", "gradient")
    schedule: PartConfig = part("schedule", "learned")
    landscapes: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.start_noise_std < 0:
            raise ValueError(f"start_noise_std may not be negative, got {self.start_noise_std}")
        if self.landscapes is not None and self.landscapes < 1:
            raise ValueError(f"landscapes must be at least 1, got {self.landscapes}")
        for one in parts_of(self):
            require_second_order(one.owner, "the loss is differentiated through thinking")


class Thinker(nn.Module):
    """Starts candidates and thinks, in training and inference alike; owns a learned step size."""

    def __init__(self, config: ThinkingConfig) -> None:
        super().__init__()
        self.config = config
        self.rule: Rule = config.rule.build()
        self.schedule: Schedule = config.schedule.build()

    def check(self, budget: Budget) -> None:
        """Refuse a budget that cannot give an answer.

        Raises:
            UserError: zero steps from noise or zeros.
        """
        if budget.steps == 0 and self.config.start in ("noise", "zeros"):
            raise UserError(
                f"0 thinking steps leave the start as it is, and this model starts from "
                f"{self.config.start}: ask for --steps 1 or more, or train with "
                "thinking.start=amortised."
            )

    def start(self, landscape: Landscape, candidates: int, generator: Randomness) -> Tensor:
        """First candidates (B, N, *P, *F)."""
        asked = landscape.body.predictions(landscape.state)
        predictions = torch.Size((asked[0], candidates, *asked[1:]))
        kind = self.config.start
        hidden = landscape.body.hidden(landscape.state) if kind == "amortised" else None
        given = landscape.body.given(landscape.state)
        offered = None if given is None else given.candidate
        start = landscape.space.start(
            kind, predictions, hidden, self.config.start_noise_std, generator, offered
        )
        return landscape.hold(start)

    def train_think(
        self,
        landscape: Landscape,
        start: Tensor,
        steps: int,
        through: Through,
        generator: Randomness,
    ) -> Thought:
        """Differentiable thinking, with the training-time randomness of rule and schedule."""
        sizes = self.sizes(landscape, start, generator, noisy=True)
        plan = Plan(steps=steps, rule=self.rule, sizes=sizes, through=through, noisy=True)
        return think(landscape, start, plan, generator)

    def train_step(
        self,
        landscape: Landscape,
        y: Tensor,
        memory: Tensor | None,
        step: Step,
        size: Tensor,
        graph: bool,
        generator: Randomness,
    ) -> Taken:
        """One step of the same, from ``y`` with the rule's ``memory`` of the step before."""
        return take_step(landscape, self.rule, y, memory, step, size, graph, True, generator)

    def think(
        self,
        landscape: Landscape,
        budget: Budget,
        generator: Randomness = None,
        start: Tensor | None = None,
    ) -> Thought:
        """Thinking at inference; every answer comes with an energy."""
        if start is None:
            self.check(budget)
            start = self.start(landscape, budget.candidates, generator)
        plan = Plan(
            steps=self.config.steps if budget.steps is None else budget.steps,
            rule=self.rule,
            sizes=self.sizes(landscape, start, generator, budget.noisy),
            stop=budget.stop.build(),
            accept_lower=budget.accept_lower,
            noisy=budget.noisy,
            deadline_s=budget.deadline_s,
            keep=budget.trace,
            score=budget.score,
        )
        return think(landscape, start, plan, generator)

    def sizes(
        self,
        landscape: Landscape,
        start: Tensor,
        generator: Randomness,
        noisy: bool,
    ) -> Sizes:
        """Step sizes of one thought; random ones are drawn here."""
        predictions = start.shape[: start.ndim - landscape.space.feature_axes]
        return self.schedule.sizes(predictions, start, generator, noisy)
