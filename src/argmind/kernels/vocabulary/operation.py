"""An operation with its first and second derivative, right under every way of differentiating.

Autograd functions alone are silently wrong inside ``torch.compile``, custom operators alone under
``torch.func``. So each of the three stages is a custom operator, opaque to the compiler (which
would keep what is meant to be computed again), called by an autograd function of its own; the call
as a whole enters a compiled graph unopened and is traced below, at dispatch.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argmind.kernels.vocabulary.chunks import room_like

Inputs = Sequence[Tensor | None]
Flags = Sequence[bool]


class Operation:
    """Three pure functions over tensors, registered as ``argmind::<name>`` and its derivatives.

    ``forward(inputs) → outputs``: the value, then statistics that later stages need;
    ``backward(grad, inputs, kept, needs) → gradients of the inputs that need one, else None``;
    ``second(tangents, grad, inputs, kept, needs) → gradients of ⟨tangents, backward's gradients⟩``
    with respect to grad and inputs, ``tangents`` being one or None for each input;
    ``shapes(inputs)``: empty tensors like forward's outputs. ``keep``: outputs that are kept.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[[Inputs], list[Tensor]],
        backward: Callable[..., list[Tensor | None]],
        second: Callable[..., list[Tensor | None]],
        shapes: Callable[[Inputs], list[Tensor]],
        keep: tuple[int, ...],
    ) -> None:
        self.name, self.keep = name, keep

        def run_forward(inputs: Inputs) -> list[Tensor]:
            device = next(x.device for x in inputs if x is not None)
            with _types_as_they_are(device):
                return forward(inputs)

        def run_backward(grad: Tensor, *rest: Any) -> list[Tensor]:
            with _types_as_they_are(grad.device):
                return _filled(backward(grad, *rest), grad)

        def run_second(tangents: Inputs, grad: Tensor, *rest: Any) -> list[Tensor]:
            with _types_as_they_are(grad.device):
                return _filled(second(tangents, grad, *rest), grad)

        rest = "Tensor grad, Tensor?[] inputs, Tensor[] kept, bool[] needs) -> Tensor[]"
        self.forward = _operator(name, run_forward, "(Tensor?[] inputs) -> Tensor[]")
        self.backward = _operator(f"{name}_backward", run_backward, f"({rest}")
        self.second = _operator(f"{name}_second", run_second, f"(Tensor?[] tangents, {rest}")
        self.forward.register_fake(shapes)
        self.backward.register_fake(
            lambda grad, inputs, kept, needs: _like(grad, inputs, needs)  # noqa: ARG005
        )
        self.second.register_fake(
            lambda tangents, grad, inputs, kept, needs: _like(grad, [grad, *inputs], needs)  # noqa: ARG005
        )

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """The value, differentiable twice."""
        return _Value.apply(self, *inputs)[0]


def _operator(name: str, function: Callable[..., list[Tensor]], schema: str) -> Any:
    return torch.library.custom_op(f"argmind::{name}", function, mutates_args=(), schema=schema)


def _types_as_they_are(device: torch.device) -> torch.autocast:
    """Inside an operator nothing is cast behind its back."""
    return torch.autocast(device.type, enabled=False)


def _filled(found: list[Tensor | None], like: Tensor) -> list[Tensor]:
    """Operators give tensors only: one of no size for what was not needed."""
    return [like.new_empty(0) if x is None else x for x in found]


def _like(grad: Tensor, tensors: Inputs, needs: Flags) -> list[Tensor]:
    """Empty gradients, laid out as those that are found; of no size where not needed."""
    return [
        room_like(x) if need and x is not None else grad.new_empty(0)
        for x, need in zip(tensors, needs, strict=True)
    ]


# ---------------------------------------------------------------------- under autograd


@dataclass(frozen=True)
class _Call:
    """What of a call is no tensor: which inputs' gradients are computed, how many inputs."""

    operation: Operation
    needs: tuple[bool, ...]
    inputs: int


class _Value(torch.autograd.Function):
    @staticmethod
    def forward(operation: Operation, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        return tuple(operation.forward(list(inputs)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        operation, *tensors = inputs
        ctx.operation, ctx.inputs = operation, len(tensors)
        ctx.slots = _slots(inputs)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*tensors, *(output[index] for index in operation.keep))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        call = _Call(ctx.operation, _wanted(ctx)[1:], ctx.inputs)
        if not any(call.needs):
            return (None,) * (1 + ctx.inputs)
        found = iter(_Gradients.apply(call, grads[0], *ctx.saved_tensors))
        return (None, *(next(found) if need else None for need in call.needs))


class _Gradients(torch.autograd.Function):
    @staticmethod
    def forward(call: _Call, grad: Tensor, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        inputs, kept = list(tensors[: call.inputs]), list(tensors[call.inputs :])
        found = call.operation.backward(grad, inputs, kept, list(call.needs))
        return tuple(x for x, need in zip(found, call.needs, strict=True) if need)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ARG004
        ctx.call, *tensors = inputs
        ctx.slots = _slots(inputs)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *tangents: Tensor | None) -> tuple[Any, ...]:
        call: _Call = ctx.call
        count = 1 + call.inputs
        wanted = _wanted(ctx)[1 : 1 + count]
        nothing = (None,) * (len(ctx.saved_tensors) - count)
        if all(x is None for x in tangents) or not any(wanted):
            return (None, *(None,) * count, *nothing)
        given = iter(tangents)
        along = [next(given) if need else None for need in call.needs]
        again = _Call(call.operation, wanted, call.inputs)
        found = iter(_Second.apply(again, *along, *ctx.saved_tensors))
        return (None, *(next(found) if need else None for need in wanted), *nothing)


class _Second(torch.autograd.Function):
    @staticmethod
    def forward(call: _Call, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        count = call.inputs
        tangents, grad, rest = tensors[:count], tensors[count], tensors[count + 1 :]
        found = call.operation.second(
            list(tangents), grad, list(rest[:count]), list(rest[count:]), list(call.needs)
        )
        return tuple(x for x, need in zip(found, call.needs, strict=True) if need)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ARG004
        ctx.name, ctx.count = inputs[0].operation.name, len(inputs)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[Any, ...]:
        raise RuntimeError(f"{ctx.name} has no third derivative")


def _slots(inputs: tuple[Any, ...]) -> list[int]:
    """Positions of the arguments that are tensors: those autograd has an edge for."""
    return [index for index, x in enumerate(inputs) if isinstance(x, Tensor)]


def _wanted(ctx: Any) -> tuple[bool, ...]:
    """Which inputs' gradients this pass uses, one flag per argument.

    ``needs_input_grad`` says which could be: for an inner gradient with respect to a candidate it
    names the weights too, and their products are the most expensive ones.
    """
    wanted = list(ctx.needs_input_grad)
    executes = getattr(torch._C, "_will_engine_execute_node", None)
    edges = ctx.next_functions
    if executes is None or len(edges) != len(ctx.slots):
        return tuple(wanted)
    for slot, (node, _) in zip(ctx.slots, edges, strict=True):
        if node is not None and wanted[slot]:
            wanted[slot] = _executes(executes, node)
    return tuple(wanted)


def _executes(executes: Callable[[Any], bool], node: Any) -> bool:
    try:
        return executes(node)
    except RuntimeError:  # a leaf whose gradient was asked for
        return True
