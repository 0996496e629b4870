"""The one loop that moves candidates downhill: training, evaluation, generation, control.

``y_{k+1} = move(y_k, point(y_k), rule(α_k, ∇E))``. Source: Energy-Based Transformers, section 2;
System 2 options from its section 3.3.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from argmind.randomness import Randomness
from argmind.thinking.accept import Always, OnlyIfLower
from argmind.thinking.landscape import Landscape, Slope
from argmind.thinking.rules.base import Rule
from argmind.thinking.schedules.base import Sizes
from argmind.thinking.stops.stops import Stop

Through = Literal["none", "last", "all"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one thought proceeds.

    ``through`` says which steps a loss on the candidates is differentiated through: ``none``: each
    step starts from a constant and keeps its own gradient's graph; ``last``: only the last step's
    gradient keeps a graph; ``all``: everything does; ``None``: no graph at all (inference).
    ``stop``, ``accept_lower`` and ``deadline_s`` are for inference.
    """

    steps: int
    rule: Rule
    sizes: Sizes
    stop: Stop | None = None
    through: Through | None = None
    accept_lower: bool = False
    noisy: bool = False
    deadline_s: float | None = None
    keep: bool = False
    score: bool = False


@dataclass
class Thought:
    """What thinking left: candidates, energies and what they cost, per prediction.

    ``candidates`` (when kept): y_0 … y_T; ``energies``: E(y_0) … E(y_{T−1}), and E(y_T) where
    scored. ``steps`` and ``nfe`` (B, N, *P) count moves and energy-gradient evaluations;
    ``diverged`` marks predictions whose energy or candidate became non-finite: they stay where
    they last were finite, and no caller should take them for an answer.
    """

    candidate: Tensor
    energy: Tensor | None
    steps: Tensor
    nfe: Tensor
    diverged: Tensor
    energies: list[Tensor] = field(default_factory=list)
    candidates: list[Tensor] = field(default_factory=list)


def think(landscape: Landscape, start: Tensor, plan: Plan, generator: Randomness = None) -> Thought:
    """Descend from ``start`` (B, N, *P, *F) as planned.

    Cost: one energy and one gradient per step and active prediction, one more energy if scored;
    no host synchronisation, except where predictions may stop at different times.
    """
    if plan.through is None:
        with torch.no_grad():
            return _descend(landscape, start, plan, generator)
    return _unroll(landscape, start, plan, generator)


# ---------------------------------------------------------------------- training


def _unroll(landscape: Landscape, y: Tensor, plan: Plan, generator: Randomness) -> Thought:
    """The differentiable form: a fixed number of steps, every candidate kept for the loss."""
    memory: Tensor | None = None
    candidates, energies = [y], []
    for step in range(plan.steps):
        graph = plan.through != "last" or step == plan.steps - 1
        if plan.through == "none":
            y = y.detach()
        y, slope, memory = _step(landscape, y, memory, step, plan, graph, generator)
        candidates.append(y)
        energies.append(slope.energy)
    predictions = y.shape[: y.ndim - landscape.space.feature_axes]
    count = torch.full(predictions, plan.steps, device=y.device)
    diverged = torch.zeros_like(count, dtype=torch.bool)
    for energy in energies:
        diverged |= ~energy.detach().isfinite()
    return Thought(y, None, count, count, diverged, energies, candidates)


def _step(
    landscape: Landscape,
    y: Tensor,
    memory: Tensor | None,
    step: int,
    plan: Plan,
    graph: bool,
    generator: Randomness,
) -> tuple[Tensor, Slope, Tensor | None]:
    """One thinking step: look, differentiate, move."""
    space = landscape.space
    y = plan.rule.before(space, y, memory, step, plan.noisy, generator)
    slope = landscape.slope(y, step, graph)
    size = _broadcast(plan.sizes(step), slope.point)
    delta, memory = plan.rule.delta(slope.gradient, slope.energy, size, memory)
    return space.move(y, slope.point, delta), slope, memory


def _broadcast(size: Tensor | float, point: Tensor) -> Tensor | float:
    """A size per prediction (B, N, *P) against the features of a candidate."""
    if not isinstance(size, Tensor) or size.ndim == 0:
        return size
    return size.reshape(size.shape + (1,) * (point.ndim - size.ndim)).to(point)


# ---------------------------------------------------------------------- inference


def _descend(landscape: Landscape, start: Tensor, plan: Plan, generator: Randomness) -> Thought:
    """The inference form: predictions stop one by one, and nothing non-finite gets through."""
    began = time.monotonic()
    walk = _Walk(landscape, start, plan)
    for step in range(plan.steps):
        late = plan.deadline_s is not None and time.monotonic() - began > plan.deadline_s
        if late or (walk.settles and not bool(walk.active.any())):
            break
        walk.take_step(step, generator)
    return walk.thought()


class _Walk:
    """Candidates on their way, with what is known of each prediction."""

    def __init__(self, landscape: Landscape, start: Tensor, plan: Plan) -> None:
        self.landscape, self.plan = landscape, plan
        self.space = landscape.space
        predictions = start.shape[: start.ndim - self.space.feature_axes]
        self.y = start
        self.memory: Tensor | None = None
        self.previous: Tensor | None = None
        self.accept = OnlyIfLower() if plan.accept_lower else Always()
        self.settles = plan.stop is not None and plan.stop.settles
        self.active = torch.ones(predictions, dtype=torch.bool, device=start.device)
        self.diverged = torch.zeros_like(self.active)
        self.steps = torch.zeros(predictions, dtype=torch.long, device=start.device)
        self.nfe = torch.zeros_like(self.steps)
        self.energies: list[Tensor] = []
        self.candidates: list[Tensor] = [start] if plan.keep else []
        self.last_step = 0

    def take_step(self, step: int, generator: Randomness) -> None:
        """Evaluate where predictions are active, judge, and move those that go on."""
        plan, self.last_step = self.plan, step
        y = plan.rule.before(self.space, self.y, self.memory, step, plan.noisy, generator)
        slope = self._slope(y, step)
        self.nfe += self.active
        size = _broadcast(plan.sizes(step), slope.point)
        delta, memory = plan.rule.delta(slope.gradient, slope.energy, size, self.memory)
        base, energy, delta = self.accept.judge(y, slope.energy, delta)
        going = self.active & energy.isfinite()
        if self.settles and plan.stop is not None:
            going &= ~plan.stop.finished(slope.energy, self.previous, slope.gradient)
        moved = self.space.move(base, self._point(base, slope, step), delta)
        finite = moved.isfinite().flatten(going.ndim).all(-1)
        self.diverged |= self.active & ~(energy.isfinite() & finite)
        going &= finite
        self.y = torch.where(_over_features(going, moved), moved, self.y)
        self.memory = memory
        self.previous = slope.energy
        self.steps += going
        self.active = going if self.settles else self.active & ~self.diverged
        if plan.keep:
            self.energies.append(energy)
            self.candidates.append(self.y)

    def _point(self, base: Tensor, slope: Slope, step: int) -> Tensor:
        """The point that belongs to the accepted candidate."""
        return self.space.point(base, step) if self.plan.accept_lower else slope.point

    def _slope(self, y: Tensor, step: int) -> Slope:
        """The slope, evaluated only for active predictions where rows can be left out."""
        if not self.settles or step == 0:
            return self.landscape.slope(y, step, graph=False)
        narrowed = self.landscape.narrow(self.active.any(1))
        if narrowed is None:
            return self.landscape.slope(y, step, graph=False)
        smaller, rows = narrowed
        part = smaller.slope(rows.take(y), step, graph=False)
        point = self.space.point(y, step)
        resting = self.previous if self.previous is not None else torch.zeros_like(self.nfe)
        return Slope(
            rows.put(resting, part.energy),
            rows.put(torch.zeros_like(point), part.gradient),
            rows.put(point, part.point),
        )

    def thought(self) -> Thought:
        """What this walk leaves."""
        energy = None
        y = self.y
        if self.plan.score or self.plan.accept_lower:
            last = max(0, self.last_step)
            energy = self.landscape.energy(y, last)
            y, energy = self.accept.finish(y, energy)
            self.diverged |= ~energy.isfinite()
            self.energies.append(energy)
            if self.candidates:
                self.candidates[-1] = y
        return Thought(
            y, energy, self.steps, self.nfe, self.diverged, self.energies, self.candidates
        )


def _over_features(mask: Tensor, y: Tensor) -> Tensor:
    return mask.reshape(mask.shape + (1,) * (y.ndim - mask.ndim))
