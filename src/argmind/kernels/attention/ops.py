"""The four functions as three operators that compilers do not look into.

Each chooses its form by device and type when it runs; shapes and layouts of results are the same
for both forms. All tensors go in and out one by one, since operators know no named tuples. They
have no derivative of their own, ``pair`` gives it; defined without the decorator for custom
operators, whose own autograd layer would cost as much time as a launch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from argmind.kernels.attention import plain
from argmind.kernels.attention.choice import why_not_triton
from argmind.kernels.attention.problem import (
    Forward,
    Limits,
    Problem,
    Vectors,
    room,
    rows_major,
)

_PROBLEM = (
    "Tensor q, Tensor keys, Tensor values, Tensor? own_k, Tensor? own_v, "
    "Tensor? after, Tensor? first, int lead"
)
_LIBRARY = torch.library.Library("argmind", "FRAGMENT")
#: Places of q, keys, values, own_k, own_v, after, first and lead in every operator's arguments.
SIZE = 8

Arguments = tuple[Any, ...]


F = TypeVar("F", bound=Callable[..., Any])


def _operator(name: str, given: str, results: int) -> Callable[[F], F]:
    """Make a function an operator of a problem, further arguments and so many tensors' results."""

    def add(function: F) -> F:
        returned = ", ".join(["Tensor"] * results)
        _LIBRARY.define(f"{name}({_PROBLEM}{given}) -> ({returned})")
        for device in ("CPU", "CUDA"):
            _LIBRARY.impl(name, function, device)
        return function

    return add


def _shapes(name: str) -> Callable[[F], F]:
    """Make a function say what an operator returns, without computing it."""

    def add(function: F) -> F:
        torch.library.register_fake(f"argmind::{name}", function, lib=_LIBRARY)
        return function

    return add


def arguments(problem: Problem) -> Arguments:
    """A problem as an operator's first arguments."""
    limits = problem.limits
    return (*problem[:5], *((None, None, 0) if limits is None else limits))


def _problem(given: Arguments) -> Problem:
    limits = None if given[5] is None else Limits(*given[5:SIZE])
    return Problem(*given[:5], limits=limits)


def _compute(name: str, problem: Problem, *given: Any) -> Any:
    """One of the four functions, by the form that serves this problem."""
    q = problem.q
    if why_not_triton(q.device, q.dtype, q.shape[-1]) is None:
        from argmind.kernels.attention import launch

        return getattr(launch, name)(problem, *given)
    with torch.autocast(q.device.type, enabled=False):  # statistics stay in fp32
        return getattr(plain, name)(problem, *given)


def _room(x: Tensor | None, like: Tensor) -> Tensor:
    """Room for ``x``; of no size where there is no ``x``."""
    return like.new_empty(0) if x is None else room(x)


def _plain_layout(vectors: Vectors, like: Tensor) -> list[Tensor]:
    return [like.new_empty(0) if x is None else rows_major(x) for x in vectors]


@_operator("attention_forward", "", results=2)
def _forward(*given: Any) -> tuple[Tensor, Tensor]:
    """out and lse."""
    problem = _problem(given)
    out, lse = _compute("forward", problem)
    return rows_major(out), lse


@_shapes("attention_forward")
def _forward_fake(*given: Any) -> tuple[Tensor, Tensor]:
    problem = _problem(given)
    return _room(problem.q, problem.q), _statistic(problem)


@_operator("attention_backward", ", Tensor out, Tensor lse, Tensor dout, bool shared", results=6)
def _backward(*given: Any) -> tuple[Tensor, ...]:
    """Adjoints of the five inputs (of no size where not asked for), and D."""
    problem = _problem(given)
    inner = _compute("inner_backward", problem, *given[SIZE:])
    return (*_plain_layout(inner.adjoints, problem.q), inner.delta)


@_shapes("attention_backward")
def _backward_fake(*given: Any) -> tuple[Tensor, ...]:
    problem, shared = _problem(given), given[SIZE + 3]
    return (*_vectors(problem, shared), _statistic(problem))


@_operator(
    "attention_second",
    ", Tensor out, Tensor lse, Tensor dout, Tensor delta, Tensor? q_t, Tensor? keys_t, "
    "Tensor? values_t, Tensor? own_k_t, Tensor? own_v_t, bool shared",
    results=6,
)
def _second(*given: Any) -> tuple[Tensor, ...]:
    """Cotangents of the five inputs and of ``dout``, for those of the inner adjoints."""
    problem = _problem(given)
    out, lse, dout, delta, *along, shared = given[SIZE:]
    done, tangents = Forward(out, lse), Vectors(*along)
    moved = _compute("tangent", problem, out, lse, dout, tangents)
    gains = _compute("second_adjoint", problem, done, dout, delta, tangents, moved, None, shared)
    return (*_plain_layout(gains, problem.q), rows_major(moved.out))


@_shapes("attention_second")
def _second_fake(*given: Any) -> tuple[Tensor, ...]:
    problem = _problem(given)
    return (*_vectors(problem, given[-1]), _room(problem.q, problem.q))


def _vectors(problem: Problem, shared: bool) -> list[Tensor]:
    """Room for one tensor for each differentiable input."""
    q, keys, values, own_k, own_v, _ = problem
    wanted = (q, keys if shared else None, values if shared else None, own_k, own_v)
    return [_room(x, q) for x in wanted]


def _statistic(problem: Problem) -> Tensor:
    return problem.q.new_empty(problem.q.shape[:-1], dtype=problem.wide)


forward_op = torch.ops.argmind.attention_forward.default
backward_op = torch.ops.argmind.attention_backward.default
second_op = torch.ops.argmind.attention_second.default
