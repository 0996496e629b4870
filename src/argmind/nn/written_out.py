"""Two operations with both derivatives written out, which autograd takes many more passes for.

Compilers are given the plain form: they fuse its derivatives themselves. What is differentiated at
most once is PyTorch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.kernels.norms import rows
from argmind.nn.differentiated import at_most_once


def gated(a: Tensor, b: Tensor) -> Tensor:
    """``silu(a) · b``."""
    if torch.compiler.is_compiling() or at_most_once():
        return F.silu(a) * b
    return _Gated.apply(a, b)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        return F.silu(a).mul_(b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return _GatedBackward.apply(grad, *ctx.saved_tensors)


class _GatedBackward(torch.autograd.Function):
    """``g b φ'(a)`` and ``g φ(a)``, φ being silu: ``φ = a s``, ``φ' = s (1 + a − φ)``."""

    @staticmethod
    def forward(grad: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        share = a.sigmoid()
        value = a * share
        return (a - value).add_(1).mul_(share).mul_(b).mul_(grad), value.mul_(grad)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, a_d: Tensor, b_d: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """With ``φ'' = s + φ' (1 − 2 s)``."""
        grad, a, b = ctx.saved_tensors
        share = a.sigmoid()
        value = a * share
        slope = (a - value + 1) * share
        bend = share + slope * (1 - 2 * share)
        along = a_d * b
        return along * slope + b_d * value, grad * (along * bend + b_d * slope), grad * a_d * slope


def normed(
    x: Tensor,
    eps: float,
    centred: bool = False,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """``c / sqrt(mean(c²) + eps) · weight + bias`` over the last axis.

    ``c``: ``x``, less its mean where it is ``centred``. Rows are brought to their length in float32
    at least, and then are as ``x`` is.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if at_most_once():
        kind = x.dtype if weight is None else torch.promote_types(x.dtype, weight.dtype)
        return _once_normed(wide, eps, centred, weight, bias).to(kind)
    if torch.compiler.is_compiling():
        c = wide - wide.mean(-1, keepdim=True) if centred else wide
        found = c * torch.rsqrt(c.square().mean(-1, keepdim=True) + eps)
    else:
        found = _Normed.apply(wide, eps, centred)
    found = found.to(x.dtype)
    if weight is not None:
        found = found * weight
    return found if bias is None else found + bias


def _once_normed(
    x: Tensor, eps: float, centred: bool, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """PyTorch's own forms, all in the type of ``x``."""
    weight, bias = (None if one is None else one.to(x.dtype) for one in (weight, bias))
    if centred:
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    found = F.rms_norm(x, x.shape[-1:], weight, eps)
    return found if bias is None else found + bias


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, eps: float, centred: bool) -> Tensor:
        return rows.normed(x, eps, centred)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        x, *ctx.kind = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return _NormedBackward.apply(grad, *ctx.saved_tensors, *ctx.kind), None, None


class _NormedBackward(torch.autograd.Function):
    @staticmethod
    def forward(grad: Tensor, x: Tensor, eps: float, centred: bool) -> Tensor:
        return rows.adjoint(grad, x, eps, centred)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        grad, x, *ctx.kind = inputs
        ctx.save_for_backward(grad, x)

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return *rows.second(along, *ctx.saved_tensors, *ctx.kind), None, None
