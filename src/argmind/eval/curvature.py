"""Curvature of the energy where candidates are, against the step size: do steps overshoot?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness, normal
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape

#: Beyond this a step lands further from a minimum than it set out.
OVERSHOOT = 2.0
_ITERATIONS = 20


def curvature(
    predictor: EBT, problem: Any, steps: int, generator: Randomness, iterations: int = _ITERATIONS
) -> Tensor:
    """Step size × largest eigenvalue of the energy's Hessian, (B, *P), after so many steps.

    Of gradient descent this is the largest eigenvalue of ``∂(α ∇E(y)) / ∂y``; in other geometries
    that of whatever a step takes away, ``∂(y − move(y)) / ∂y``, which is the same for ``y ↦ y − α
    ∇E``. Near a minimum steps come closer only where it is below 2. What a problem holds fast is
    left out. Cost: one second-order pass, and one backward of it for each iteration.
    """
    thinker, space = predictor.thinker, predictor.space
    with torch.no_grad():
        landscape = predictor.landscape(problem)
        y = thinker.start(landscape, 1, generator)
        sizes = thinker.sizes(landscape, y, generator, noisy=False)
        if steps:
            budget = Budget(steps=steps)
            y = thinker.think(landscape, budget, generator, start=y).candidate
    taken, y = _taken(predictor, landscape, y, steps, sizes(steps))
    free = _free(landscape, y)

    def apply(v: Tensor) -> Tensor:
        (image,) = torch.autograd.grad(taken, y, v, retain_graph=True)
        return image * free

    start = normal(y.shape, y, generator) * free
    predictions = y.ndim - space.feature_axes
    return largest_eigenvalue(apply, start, predictions, iterations)[:, 0]


def _taken(
    predictor: EBT, landscape: Landscape, y: Tensor, step: int, size: Tensor | float
) -> tuple[Tensor, Tensor]:
    """What one step takes away from candidates, with a graph that leads to them."""
    with torch.enable_grad():
        y = predictor.space.begin(y).detach().clone().requires_grad_()
        slope = landscape.slope(y, step, graph=True)
        if isinstance(size, Tensor) and size.ndim:
            size = size.detach().reshape(size.shape + (1,) * (slope.point.ndim - size.ndim))
        delta, _ = predictor.thinker.rule.delta(slope.gradient, slope.energy, size, None)
        return y - landscape.move(y, slope.point, delta), y


def _free(landscape: Landscape, y: Tensor) -> Tensor:
    """1 where a candidate may move, 0 where the problem holds it."""
    given = landscape.body.given(landscape.state)
    if given is None or given.held is None:
        return torch.ones_like(y)
    return (~given.held[:, None]).expand_as(y).to(y)


def largest_eigenvalue(
    apply: Callable[[Tensor], Tensor], start: Tensor, leading: int, iterations: int = _ITERATIONS
) -> Tensor:
    """The largest eigenvalue of a linear map for each of the ``leading`` axes of ``start``.

    By power iteration; where the eigenvalue of largest size is negative, once more on the map
    shifted by it. Eigenvalues must be real. 0 where there is nothing to move.
    """
    first = _dominant(apply, start, leading, iterations)
    shift = (-first).clamp(min=0)
    if not bool(shift.any()):
        return first
    wide = shift.reshape(shift.shape + (1,) * (start.ndim - leading))
    return _dominant(lambda v: apply(v) + wide * v, start, leading, iterations) - shift


def _dominant(
    apply: Callable[[Tensor], Tensor], v: Tensor, leading: int, iterations: int
) -> Tensor:
    tiny = torch.finfo(v.dtype).tiny
    value = v.new_zeros(v.shape[:leading])
    for _ in range(iterations):
        norm = v.flatten(leading).norm(dim=-1).clamp(min=tiny)
        v = v / norm.reshape(norm.shape + (1,) * (v.ndim - leading))
        image = apply(v)
        value = (v * image).flatten(leading).sum(-1)
        v = image
    return value
