"""A sampler's walk as a thought, so that walks are chosen among and traced like thinking."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from argmind.diffusion.process import column
from argmind.diffusion.sampling import State
from argmind.predictors.base import Prediction, Trace
from argmind.thinking.budget import Budget
from argmind.thinking.select import choose, pick
from argmind.thinking.think import Thought


def settled(
    walk: Iterator[State], offered: Tensor, feature_axes: int, deadline_s: float | None = None
) -> Thought:
    """Walk to the end, or to the first step after the deadline, whose estimate is the answer then.

    ``offered`` (B, N, *P, *F): what there was before. A diffusion model has no energy; in its place
    stands, for every estimate, the mean square of how far the next one is from it (for the last
    one, it from the one before).
    """
    began = time.monotonic()
    estimates: list[Tensor] = [offered]
    changes: list[Tensor] = []
    steps = passes = torch.zeros(len(offered), dtype=torch.long, device=offered.device)
    final: Tensor | None = None
    for state in walk:
        final, steps, passes = state.x, state.steps, state.passes
        change = (state.clean - estimates[-1]).square().flatten(-feature_axes).mean(-1)
        changes.append(change)
        estimates.append(state.clean)
        if deadline_s is not None and _now(offered) - began > deadline_s:
            final = None
            break
    if final is not None:
        estimates[-1] = final
    energy = changes[-1]
    return Thought(
        candidate=estimates[-1],
        energy=energy,
        steps=column(steps, energy).expand_as(energy),
        nfe=column(passes, energy).expand_as(energy),
        diverged=~changes[-1].isfinite(),
        energies=[*changes, changes[-1]],
        candidates=estimates,
    )


def answered(thought: Thought, budget: Budget, bound: float = 1) -> Prediction:
    """The most settled candidate of every prediction; outputs lie within ± ``bound``."""
    assert thought.energy is not None  # a walk always scores
    index = choose(thought, budget.select)
    candidate = pick(thought.candidate, index)
    trace = None
    if budget.trace:
        outputs = [pick(y, index).clamp(-bound, bound) for y in thought.candidates]
        trace = Trace(outputs, [pick(energy, index) for energy in thought.energies])
    return Prediction(
        output=candidate.clamp(-bound, bound),
        candidate=candidate,
        energy=pick(thought.energy, index),
        steps=pick(thought.steps, index),
        nfe=thought.nfe.sum(1),
        diverged=pick(thought.diverged, index),
        trace=trace,
    )


def _now(like: Tensor) -> float:
    if like.is_cuda:  # queued work takes no time until it is waited for
        torch.cuda.synchronize(like.device)
    return time.monotonic()
