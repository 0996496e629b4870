"""Rows brought to length one per number, ``n = c r``, with ``r = (mean(c²) + eps)^−½``.

``c`` is a row x (..., D), less its mean where rows are ``centred``. Three functions, for the value
and both derivatives. On a GPU Triton runs each as one kernel; the plain forms here are the
reference, and serve everything else.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor, nn

_TYPES = (torch.float32, torch.bfloat16, torch.float16)
#: Longer rows do not fit into one program's registers.
LONGEST_ROW = 8192


def normed(x: Tensor, eps: float, centred: bool) -> Tensor:
    """``n``."""
    fast = kernels(x)
    if fast is not None:
        return fast.normed(x, eps, centred)
    c = _centre(x, centred)
    return c * _rate(c, eps)


def adjoint(grad: Tensor, x: Tensor, eps: float, centred: bool) -> Tensor:
    """``r (g − n mean(g n))``, g being centred too where rows are."""
    fast = kernels(grad, x)
    if fast is not None:
        return fast.adjoint(grad, x, eps, centred)
    g, c = _centre(grad, centred), _centre(x, centred)
    r = _rate(c, eps)
    return _across(g, c * r, r)


def second(
    along: Tensor, grad: Tensor, x: Tensor, eps: float, centred: bool
) -> tuple[Tensor, Tensor]:
    """Derivatives of ``⟨t, r (g − n mean(g n))⟩`` by g and by x, r being a function of x.

    Both can be differentiated further.
    """
    fast = None if torch.is_grad_enabled() else kernels(along, grad, x)
    if fast is not None:
        return fast.second(along, grad, x, eps, centred)
    t, g, c = (_centre(one, centred) for one in (along, grad, x))
    r = _rate(c, eps)
    n = c * r
    t_n, g_n = _mean(t, n), _mean(g, n)
    by_x = n * (3 * t_n * g_n - _mean(t, g))
    by_x = by_x.addcmul(t, g_n, value=-1).addcmul(g, t_n, value=-1) * r.square()
    return _across(t, n, r), by_x


def kernels(*tensors: Tensor) -> ModuleType | None:
    """The Triton forms, where they serve: CUDA, no float64, rows that are not too long.

    Nor other kinds of tensors: those that only foretell shapes have no memory for a kernel to read.
    """
    for x in tensors:
        real = type(x) in (Tensor, nn.Parameter) and x.is_cuda
        if not real or x.dtype not in _TYPES or x.shape[-1] > LONGEST_ROW:
            return None
    try:
        from argmind.kernels.norms import triton_rows
    except ImportError:
        return None
    return triton_rows


def _centre(x: Tensor, centred: bool) -> Tensor:
    return x - x.mean(-1, keepdim=True) if centred else x


def _rate(c: Tensor, eps: float) -> Tensor:
    return torch.rsqrt(c.square().mean(-1, keepdim=True) + eps)


def _across(grad: Tensor, n: Tensor, r: Tensor) -> Tensor:
    return torch.addcmul(grad, n, _mean(grad, n), value=-1) * r


def _mean(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).mean(-1, keepdim=True)
