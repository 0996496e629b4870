"""Rows of queries, keys and values taken apart, those that have positions turned by them.

``apart`` gives heads of rows and turns the first of them, ``together`` is its transpose: it turns
them back and puts the rows together. Each is linear and the other's derivative, so that derivatives
of any order are these two. Both are operators that compilers do not look into: in compiled graphs a
derivative of ``cat`` and rotation becomes one kernel bound by the arithmetic of its indices, eight
times as long as memory takes (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from argmind.kernels.rotation import plain

_TYPES = (torch.bfloat16, torch.float16, torch.float32)
_SCHEMA = "Tensor cos, Tensor sin, int[] heads, int turned, bool back)"

Parts = tuple[Tensor, ...]


@torch.compiler.assume_constant_result
def serves(device: torch.device, dtype: torch.dtype) -> bool:
    """Is this the fastest form, in a compiled graph? Elsewhere positions are turned plainly."""
    return device.type == "cuda" and dtype in _TYPES and _triton() is not None


def _triton() -> Any:
    try:
        from argmind.kernels.rotation import triton_turn
    except ImportError:
        return None
    return triton_turn


def _form(x: Tensor) -> Any:
    """The module that turns rows of this kind."""
    fast = _triton() if x.is_cuda and x.dtype in _TYPES else None
    return plain if fast is None else fast


def _apart(
    rows: Tensor, cos: Tensor, sin: Tensor, heads: Sequence[int], turned: int, back: bool
) -> list[Tensor]:
    parts = _apart_shapes(rows, cos, sin, heads, turned, back)
    flat = [x.transpose(1, 2).flatten(2) for x in parts]
    _form(rows).apart(rows, flat, cos, sin, turned, back)
    return parts


def _apart_shapes(
    rows: Tensor,
    cos: Tensor,
    sin: Tensor,  # noqa: ARG001
    heads: Sequence[int],
    turned: int,  # noqa: ARG001
    back: bool,  # noqa: ARG001
) -> list[Tensor]:
    batch, length, _ = rows.shape
    size = 2 * cos.shape[-1]
    return [rows.new_empty(batch, length, count, size).transpose(1, 2) for count in heads]


def _together(
    parts: Sequence[Tensor],
    cos: Tensor,
    sin: Tensor,
    heads: Sequence[int],
    turned: int,
    back: bool,
) -> Tensor:
    rows = _together_shape(parts, cos, sin, heads, turned, back)
    flat = [x.transpose(1, 2).flatten(2) for x in parts]
    _form(rows).together(rows, flat, cos, sin, turned, back)
    return rows


def _together_shape(
    parts: Sequence[Tensor],
    cos: Tensor,
    sin: Tensor,  # noqa: ARG001
    heads: Sequence[int],
    turned: int,  # noqa: ARG001
    back: bool,  # noqa: ARG001
) -> Tensor:
    batch, _, length, _ = parts[0].shape
    return parts[0].new_empty(batch, length, sum(heads) * 2 * cos.shape[-1])


_apart_op: Any = torch.library.custom_op(
    "argmind::turned_apart", _apart, mutates_args=(), schema=f"(Tensor rows, {_SCHEMA} -> Tensor[]"
)
_together_op: Any = torch.library.custom_op(
    "argmind::turned_together",
    _together,
    mutates_args=(),
    schema=f"(Tensor[] parts, {_SCHEMA} -> Tensor",
)
_apart_op.register_fake(_apart_shapes)
_together_op.register_fake(_together_shape)


class _Apart(torch.autograd.Function):
    @staticmethod
    def forward(
        rows: Tensor, cos: Tensor, sin: Tensor, heads: tuple[int, ...], turned: int, back: bool
    ) -> Parts:
        return tuple(_apart_op(rows, cos, sin, heads, turned, back))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Parts) -> None:  # noqa: ARG004
        _, *positions, ctx.heads, ctx.turned, ctx.back = inputs
        ctx.save_for_backward(*positions)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        known = (*ctx.saved_tensors, ctx.heads, ctx.turned, not ctx.back)
        return _Together.apply(*known, *grads), None, None, None, None, None


class _Together(torch.autograd.Function):
    @staticmethod
    def forward(
        cos: Tensor, sin: Tensor, heads: tuple[int, ...], turned: int, back: bool, *parts: Tensor
    ) -> Tensor:
        return _together_op(list(parts), cos, sin, heads, turned, back)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        *positions, ctx.heads, ctx.turned, ctx.back = inputs[:5]
        ctx.save_for_backward(*positions)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        known = (*ctx.saved_tensors, ctx.heads, ctx.turned, not ctx.back)
        return None, None, None, None, None, *_Apart.apply(grad, *known)


@torch.compiler.allow_in_graph
def turned_apart(
    rows: Tensor, cos: Tensor, sin: Tensor, heads: tuple[int, ...], turned: int
) -> Parts:
    """Heads (B, H, S, d) out of rows (B, S, (H₁ + H₂ + …) d); the first ``turned`` parts turn.

    ``cos`` and ``sin`` (B or 1, 1, S, d / 2) are of every position's angles; elements 2j and 2j + 1
    of a head turn together. Cost: rows are read and written once, forward and in every derivative.
    """
    return _Apart.apply(rows, cos, sin, heads, turned, False)
