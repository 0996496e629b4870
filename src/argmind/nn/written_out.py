"""Two operations with both derivatives written out, which autograd takes many more passes for.

Compilers are given the plain form: they fuse its derivatives themselves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def gated(a: Tensor, b: Tensor) -> Tensor:
    """``silu(a) · b``."""
    if torch.compiler.is_compiling():
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


def scaled(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """``x / sqrt(mean(x²) + eps) · weight`` over the last axis, in float32 at least."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if torch.compiler.is_compiling():
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    else:
        normed = _Normed.apply(wide, eps)
    return normed.to(x.dtype) * weight


class _Normed(torch.autograd.Function):
    """``n = x r`` with ``r = (mean(x²) + eps)^−½``."""

    @staticmethod
    def forward(x: Tensor, eps: float) -> Tensor:
        return x * _rate(x, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:  # noqa: ARG004
        x, ctx.eps = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _NormedBackward.apply(grad, *ctx.saved_tensors, ctx.eps), None


class _NormedBackward(torch.autograd.Function):
    """``r (g − n mean(g n))``."""

    @staticmethod
    def forward(grad: Tensor, x: Tensor, eps: float) -> Tensor:
        r = _rate(x, eps)
        return _across(grad, x * r, r)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        *tensors, ctx.eps = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        """Of ``⟨t, r (g − n mean(g n))⟩``, r being a function of x."""
        grad, x = ctx.saved_tensors
        r = _rate(x, ctx.eps)
        n = x * r
        t_n, g_n = _mean(along, n), _mean(grad, n)
        by_x = n * (3 * t_n * g_n - _mean(along, grad))
        by_x = by_x.addcmul(along, g_n, value=-1).addcmul(grad, t_n, value=-1) * r.square()
        return _across(along, n, r), by_x, None


def _rate(x: Tensor, eps: float) -> Tensor:
    return torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def _across(grad: Tensor, n: Tensor, r: Tensor) -> Tensor:
    return torch.addcmul(grad, n, _mean(grad, n), value=-1) * r


def _mean(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).mean(-1, keepdim=True)
