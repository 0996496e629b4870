"""The one loop that moves candidates downhill: training, evaluation, generation, control.

``y_{k+1} = move(y_k, point(y_k), rule(α_k, ∇E))``. Source: Energy-Based Transformers, section 2;
System 2 options from its section 3.3.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from argmind.energy.base import Selection
from argmind.nn.conditioning.base import Step
from argmind.randomness import Randomness
from argmind.thinking.accept import Always, Move, OnlyIfLower, per_prediction
from argmind.thinking.landscape import Landscape, Slope
from argmind.thinking.rules.base import Rule
from argmind.thinking.schedules.base import Sizes
from argmind.thinking.stops.base import Stop

Through = Literal["none", "last", "all"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one thought proceeds.

    ``through`` says which steps a loss on the candidates is differentiated through: ``none``: each
    step starts from a constant and keeps its own gradient's graph; ``last``: only the last step's
    gradient keeps a graph; ``all``: everything does; ``None``: no graph at all (inference).
    ``stop``, ``accept_lower``, ``deadline_s`` and ``score`` are for inference.
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
    score: bool = True


@dataclass
class Thought:
    """What thinking left: candidates, energies and what they cost, per prediction.

    ``candidates`` (when kept): y_0 … y_T, y_k being the answer of a budget of k steps;
    ``energies``: E(y_0) … E(y_{T−1}), each where its step evaluated it (look-ahead or noise
    included), and E(y_T) where it was scored, which is ``energy`` then. ``steps`` and ``nfe``
    (B, N, *P) count moves and energy-gradient evaluations; ``diverged`` marks predictions whose
    energy or candidate became non-finite: they stay where they last were finite, and no caller
    should take them for an answer.
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

    Cost: one energy and one gradient per step and active prediction, at inference one energy more;
    no host synchronisation, except where predictions may stop at different times or by the clock.
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
        graph = torch.is_grad_enabled() and (plan.through != "last" or step == plan.steps - 1)
        if plan.through == "none":
            y, memory = y.detach(), None if memory is None else memory.detach()
        size = plan.sizes(step)
        y, slope, memory = take_step(
            landscape, plan.rule, y, memory, step, size, graph, plan.noisy, generator
        )
        candidates.append(y)
        energies.append(slope.energy)
    predictions = y.shape[: y.ndim - landscape.space.feature_axes]
    count = torch.full(predictions, plan.steps, device=y.device)
    diverged = torch.zeros_like(count, dtype=torch.bool)
    for energy in energies:
        diverged |= ~energy.detach().isfinite()
    return Thought(y, None, count, count, diverged, energies, candidates)


class Taken(NamedTuple):
    """A step that was taken."""

    candidate: Tensor
    slope: Slope
    memory: Tensor | None


def take_step(
    landscape: Landscape,
    rule: Rule,
    y: Tensor,
    memory: Tensor | None,
    step: Step,
    size: Tensor | float,
    graph: bool,
    noisy: bool,
    generator: Randomness,
) -> Taken:
    """One thinking step: look, differentiate, move."""
    began = landscape.space.begin(y)
    y = rule.before(landscape.space, began, memory, step, noisy, generator)
    slope = landscape.slope(y, step, graph)
    size = _broadcast(size, slope.point)
    delta, memory = rule.delta(slope.gradient, slope.energy, size, memory)
    return Taken(landscape.move(y, slope.point, delta, graph), slope, memory)


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
    # The first step is always taken: an untouched start need not be an answer.
    while walk.done < plan.steps and not (walk.done and _late(began, plan, start.device)):
        if walk.settles and not bool(walk.active.any()):
            break
        walk.take_step(generator)
    return walk.thought()


def _late(began: float, plan: Plan, device: torch.device) -> bool:
    if plan.deadline_s is None:
        return False
    if device.type == "cuda":  # queued work takes no time until it is waited for
        torch.cuda.synchronize(device)
    return time.monotonic() - began > plan.deadline_s


class _Walk:
    """Candidates on their way, with what is known of each prediction.

    A prediction that is no longer active keeps its candidate and its energy, whatever is still
    evaluated beside it.
    """

    def __init__(self, landscape: Landscape, start: Tensor, plan: Plan) -> None:
        self.landscape, self.plan = landscape, plan
        self.space = landscape.space
        predictions = start.shape[: start.ndim - self.space.feature_axes]
        self.y = start
        self.energy: Tensor | None = None
        self.slope: Slope | None = None
        self.memory: Tensor | None = None
        self.accept = OnlyIfLower() if plan.accept_lower else Always()
        self.settles = plan.stop is not None and plan.stop.settles
        self.active = torch.ones(predictions, dtype=torch.bool, device=start.device)
        self.diverged = torch.zeros_like(self.active)
        self.steps = torch.zeros(predictions, dtype=torch.long, device=start.device)
        self.nfe = torch.zeros_like(self.steps)
        self.energies: list[Tensor] = []
        self.candidates: list[Tensor] = []
        self.done = 0

    def take_step(self, generator: Randomness) -> None:
        """Evaluate where predictions are active, judge, and move those that go on."""
        plan, step = self.plan, self.done
        began = self.space.begin(self.y)
        y = plan.rule.before(self.space, began, self.memory, step, plan.noisy, generator)
        self.slope = slope = self._slope(y, step)
        self.nfe += self.active
        size = _broadcast(plan.sizes(step), slope.point)
        delta, self.memory = plan.rule.delta(slope.gradient, slope.energy, size, self.memory)
        if began is not self.y:  # the answer is what the step was given, not where it began
            y = self.y
        y, slope, delta = self.accept.judge(Move(y, slope, delta))
        alive = self.active & slope.energy.isfinite()
        finished = alive & self._finished(slope)
        energy = slope.energy
        if self.energy is not None:
            energy = torch.where(self.active, energy, self.energy)
        # What a budget of so many steps would have answered.
        self._record(
            per_prediction(self.active, y, self.y) if plan.accept_lower else self.y, energy
        )
        moved = self.landscape.move(y, slope.point, delta)
        going = alive & ~finished & moved.isfinite().flatten(alive.ndim).all(-1)
        self.diverged |= self.active & ~(going | finished)
        if self.settles:
            self.y = per_prediction(finished, y, self.y)
        self.y = per_prediction(going, moved, self.y)
        self.energy, self.active = energy, going
        self.steps += going
        self.done += 1

    def _finished(self, slope: Slope) -> Tensor:
        if not self.settles or self.plan.stop is None:
            return torch.zeros_like(self.active)
        return self.plan.stop.finished(slope.energy, self.energy, slope.gradient)

    def _record(self, y: Tensor, energy: Tensor) -> None:
        self.energies.append(energy)
        if self.plan.keep:
            self.candidates.append(y)

    def _narrowed(self) -> tuple[Landscape, Selection] | None:
        """The landscape of active predictions, where some of the others can be left out."""
        if not self.settles or self.slope is None:
            return None
        return self.landscape.narrow(self.active.any(1))

    def _slope(self, y: Tensor, step: int) -> Slope:
        narrowed = self._narrowed()
        if narrowed is None or self.slope is None:
            return self.landscape.slope(y, step, graph=False)
        smaller, rows = narrowed
        fresh = smaller.slope(rows.take(y), step, graph=False)
        return Slope(*(rows.put(old, new) for old, new in zip(self.slope, fresh, strict=True)))

    def _last_energy(self) -> Tensor:
        """Energies of the last candidates, evaluated only where predictions are active."""
        if self.energy is not None and self.settles:
            if not bool(self.active.any()):
                return self.energy
            narrowed = self._narrowed()
            if narrowed is not None:
                smaller, rows = narrowed
                return rows.put(self.energy, smaller.energy(rows.take(self.y), self.done))
        return self.landscape.energy(self.y, self.done)

    def thought(self) -> Thought:
        """What this walk leaves."""
        if self.energy is not None and not self.plan.score:
            self.diverged |= ~self.energy.isfinite()
            return self._left(self.y, self.energy)
        energy = self._last_energy()
        y, energy = self.accept.finish(self.y, energy)
        y = per_prediction(self.active, y, self.y)
        if self.energy is not None:
            energy = torch.where(self.active, energy, self.energy)
        self.diverged |= ~energy.isfinite()
        self._record(y, energy)
        return self._left(y, energy)

    def _left(self, y: Tensor, energy: Tensor) -> Thought:
        return Thought(
            y, energy, self.steps, self.nfe, self.diverged, self.energies, self.candidates
        )
