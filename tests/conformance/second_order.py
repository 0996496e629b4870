"""The second-order checks of the suite, by finite differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from argmind.predictors.ebt import EBT
from conformance.parts import STEPS, candidates, tokens


class _Call(nn.Module):
    """A function of a model, as a module whose weights can be given from outside."""

    def __init__(self, model: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def _as_function(
    model: nn.Module, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]
) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """``f(*inputs, *weights)`` and its arguments; only weights that the value depends on."""
    weights = dict(model.named_parameters())
    value = function(*inputs)
    grads = torch.autograd.grad(value.sum(), list(weights.values()), allow_unused=True)
    used = [name for name, grad in zip(weights, grads, strict=True) if grad is not None]
    assert used
    call = _Call(model, function)

    def of_weights(*arguments: Tensor) -> Tensor:
        given, rest = arguments[: len(inputs)], arguments[len(inputs) :]
        named = {f"model.{name}": x for name, x in zip(used, rest, strict=True)}
        return functional_call(call, named, given)

    detached = [weights[name].detach().clone().requires_grad_() for name in used]
    return of_weights, (*inputs, *detached)


def check_energy(model: EBT, batch: dict[str, Tensor] | None = None) -> None:
    """First and second derivatives of the energy, in the candidate's point and all weights.

    The context stream is only ever differentiated once and may use a kernel that allows no more;
    here it uses the one that does.
    """
    problem, _ = model.task(batch or {"tokens": tokens(batch=1, length=3)})
    asked = model.body.predictions(model.encode(problem))
    y = candidates(model, 1, 1, *asked[1:])
    point = model.space.point(y, 0).detach().requires_grad_()

    def energy(point: Tensor) -> Tensor:
        state = model.body.encode(model.space.embed_context(problem))
        return model.body.energy(state, model.space.embed(point), 0)

    function, arguments = _as_function(model, energy, (point,))
    assert gradcheck(function, arguments, fast_mode=True, check_undefined_grad=False)
    with sdpa_kernel(SDPBackend.MATH):
        assert gradgradcheck(function, arguments, fast_mode=True, check_undefined_grad=False)


def check_training_through_thinking(model: EBT, batch: dict[str, Tensor] | None = None) -> None:
    """The gradient of a task loss after thinking, differentiated through every step."""
    batch = batch or {"tokens": tokens(batch=2, length=4)}

    def loss() -> Tensor:
        context, target = model.task(batch)
        landscape = model.landscape(context)
        generator = generator_of(3)
        start = model.thinker.start(landscape, 1, generator)
        thought = model.thinker.train_think(landscape, start, STEPS, "all", generator)
        return model.space.loss(thought.candidate, target).mean()

    function, weights = _as_function(model, loss, ())
    analytical = torch.autograd.grad(function(*weights), weights)
    for index, gradient in enumerate(analytical):
        along = torch.randn(gradient.shape, generator=generator_of(index), dtype=gradient.dtype)
        torch.testing.assert_close(
            (gradient * along).sum(),
            slope_along(function, weights, index, along),
            rtol=1e-3,
            atol=1e-6,
        )


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slope_along(
    function: Callable[..., Tensor], weights: tuple[Tensor, ...], index: int, along: Tensor
) -> Tensor:
    """Central difference of a scalar function as one of its arguments moves along a direction."""
    width = 1e-6
    ends: list[Tensor] = []
    for sign in (1, -1):
        moved = list(weights)
        moved[index] = weights[index].detach() + sign * width * along
        ends.append(function(*moved).detach())
    return (ends[0] - ends[1]) / (2 * width)
