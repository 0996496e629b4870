"""Attention for autograd: a function whose backward is a function with a derivative of its own.

Correct in eager ``autograd.grad(create_graph=True)``, under ``torch.func`` and in compiled
functions. For the latter :func:`attend` is put into graphs as it is: Dynamo, tracing into the
functions, would drop the second derivative without a word.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from argmind.kernels.attention import counts
from argmind.kernels.attention.ops import SIZE, backward_op, forward_op, second_op
from argmind.kernels.attention.problem import Limits

_INPUTS = 5  # q, keys, values, own_k, own_v

counts.register()
F = TypeVar("F", bound=Callable[..., Any])


def _with_signature(function: F) -> F:
    """Keep the signature of a forward function, which autograd otherwise derives at every call."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


class _Attention(torch.autograd.Function):
    """out and lse."""

    @staticmethod
    @_with_signature
    def forward(*given: Any) -> tuple[Tensor, Tensor]:
        return forward_op(*given)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        out, lse = output
        ctx.mark_non_differentiable(lse)
        ctx.set_materialize_grads(False)
        ctx.lead = inputs[SIZE - 1]
        ctx.save_for_backward(*inputs[: SIZE - 1], out, lse)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        dout = cotangents[0]
        if dout is None:
            return (None,) * SIZE
        *tensors, out, lse = ctx.saved_tensors
        shared = _wants_shared(ctx)
        adjoints = _Backward.apply(*tensors, ctx.lead, out, lse, dout, shared)
        return _given(adjoints[:_INPUTS], tensors, shared, 3)


class _Backward(torch.autograd.Function):
    """Adjoints of the five inputs, and D."""

    @staticmethod
    @_with_signature
    def forward(*given: Any) -> tuple[Tensor, ...]:
        return backward_op(*given)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(output[-1])
        ctx.set_materialize_grads(False)
        ctx.lead = inputs[SIZE - 1]
        out, lse, dout = inputs[SIZE : SIZE + 3]
        ctx.save_for_backward(*inputs[: SIZE - 1], out, lse, dout, output[-1])

    @staticmethod
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors, rest = ctx.saved_tensors[: SIZE - 1], ctx.saved_tensors[SIZE - 1 :]
        shared = _wants_shared(ctx)
        gains = _Second.apply(*tensors, ctx.lead, *rest, *along[:_INPUTS], shared)
        return (*_given(gains[:_INPUTS], tensors, shared, 3), None, None, gains[-1], None)


class _Second(torch.autograd.Function):
    """Cotangents of the five inputs and of dO."""

    @staticmethod
    @_with_signature
    def forward(*given: Any) -> tuple[Tensor, ...]:
        return second_op(*given)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise NotImplementedError(
            "fused attention has two derivatives; for a third choose attention=reference"
        )


def _given(
    values: tuple[Tensor, ...], tensors: list[Tensor | None], shared: bool, others: int
) -> tuple[Tensor | None, ...]:
    """Results for inputs that were there and are wanted, and None for ``others`` more."""
    wanted = (True, shared, shared, tensors[3] is not None, tensors[4] is not None)
    kept = (x if keep else None for x, keep in zip(values, wanted, strict=True))
    return (*kept, *(None,) * others)


def _wants_shared(ctx: Any) -> bool:
    """Does this backward pass lead to the shared keys or values? In a thinking step it does not."""
    return any(ctx.needs_input_grad[1:3]) and any(map(_leads_to, _functions(ctx)[1:3]))


def _functions(ctx: Any) -> list[Any]:
    """The nodes of the graph that the inputs came from."""
    return [None if node is None else node[0] for node in getattr(ctx, "next_functions", ())]


def _leads_to(node: Any) -> bool:
    """Will autograd run this node in the current pass? True where it cannot tell."""
    try:
        return node is not None and torch._C._will_engine_execute_node(node)  # pyright: ignore[reportPrivateUsage]
    except RuntimeError:  # a leaf whose gradient was asked for
        return True


def _attend(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    own_k: Tensor | None,
    own_v: Tensor | None,
    after: Tensor | None,
    first: Tensor | None,
    lead: int,
) -> Tensor:
    return _Attention.apply(q, keys, values, own_k, own_v, after, first, lead)[0]


_in_graphs: Callable[..., Tensor] = torch.compiler.allow_in_graph(_attend)


def attend(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    own_k: Tensor | None = None,
    own_v: Tensor | None = None,
    limits: Limits | None = None,
) -> Tensor:
    """Attention (B, H, R, d) of a ``Problem``, twice differentiable in all five tensors."""
    narrow = (x if x is None else x.to(q.dtype) for x in (keys, values, own_k, own_v))
    where = (None, None, 0) if limits is None else limits
    return _in_graphs(q, *narrow, *where)
