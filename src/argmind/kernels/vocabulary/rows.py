"""What is done to rows of a vocabulary between matrix products, each in one pass or two.

Statistics are float32 at least, whatever the type of the rows. On a GPU Triton runs these; the
plain forms here are the reference, and serve everything else. ``x`` are logits: the first ``size``
columns of them count, whatever stands behind. ``lse`` (M,) is their log-sum-exp and
``p = exp(x − lse)``. Results have the type asked for and are padded with zeros.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from argmind.kernels.vocabulary.chunks import buffer, wide

_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def kernels(*tensors: Tensor) -> ModuleType | None:
    """The Triton forms, where they serve: CUDA, and no float64."""
    if not all(x.is_cuda and (x.dtype in _TYPES or not x.is_floating_point()) for x in tensors):
        return None
    try:
        from argmind.kernels.vocabulary import triton_rows
    except ImportError:
        return None
    return triton_rows


def _wide(x: Tensor, size: int) -> Tensor:
    return x[:, :size].to(wide(x.dtype))


def _column(x: Tensor) -> Tensor:
    return x[:, None]


def _p(x: Tensor, size: int, lse: Tensor) -> Tensor:
    return (_wide(x, size) - _column(lse)).exp()


def _padded(x: Tensor, dtype: torch.dtype) -> Tensor:
    out = buffer(x, x.shape[1], dtype).zero_()
    out[:, : x.shape[1]] = x
    return out


def softmax(x: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """``p`` and ``lse``."""
    fast = kernels(x)
    if fast is not None:
        p = buffer(x, size, dtype)
        return p, fast.softmax(x, size, p)
    lse = _wide(x, size).logsumexp(-1)
    return _padded(_p(x, size, lse), dtype), lse


def adjoint(
    x: Tensor, size: int, lse: Tensor, dp: Tensor, mean: Tensor, need_p: bool
) -> tuple[Tensor | None, Tensor]:
    """``p`` and ``ds = p (dp − mean)``: the softmax's backward, ``mean = Σ p dp`` being known."""
    fast = kernels(x, dp)
    if fast is not None:
        p = buffer(x, size, dp.dtype) if need_p else None
        fast.adjoint(x, size, lse, dp, mean, p)
        return p, dp  # written over
    p = _p(x, size, lse)
    ds = p * (_wide(dp, size) - _column(mean))
    return _padded(p, dp.dtype) if need_p else None, _padded(ds, dp.dtype)


def tangent(
    x: Tensor, size: int, lse: Tensor, xd: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """``p``, ``h = p xd`` and ``r = Σ h``, the tangent of ``lse`` along ``xd``."""
    fast = kernels(x, xd)
    if fast is not None:
        p, h = buffer(x, size, dtype), buffer(x, size, dtype)
        return p, h, fast.tangent(x, size, lse, xd, p, h)
    p = _p(x, size, lse)
    h = p * _wide(xd, size)
    return _padded(p, dtype), _padded(h, dtype), h.sum(-1)


def second(
    p: Tensor,
    size: int,
    xd: Tensor,
    dp: Tensor,
    dpd: Tensor | None,
    means: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """``pd = p (xd − r)``, ``dsd = pd (dp − mean) + p (dpd − meand)`` and ``ds``.

    The tangents of ``p`` and ``ds`` along ``xd`` and ``dpd``; ``means`` are r, mean and its
    tangent.
    """
    r, mean, mean_d = means
    fast = kernels(p, xd, dp)
    if fast is not None:
        pd, dsd = buffer(p, size, p.dtype), buffer(p, size, p.dtype)
        fast.second(p, size, xd, dp, dpd, means, pd, dsd)
        return pd, dsd, dp  # written over
    weights, change = _wide(p, size), _wide(dp, size) - _column(mean)
    pd = weights * (_wide(xd, size) - _column(r))
    change_d = -_column(mean_d) if dpd is None else _wide(dpd, size) - _column(mean_d)
    dsd = pd * change + weights * change_d
    return _padded(pd, p.dtype), _padded(dsd, p.dtype), _padded(weights * change, p.dtype)


def score(x: Tensor, size: int, target: Tensor) -> tuple[Tensor, Tensor]:
    """``lse`` and each row's logit of its target."""
    fast = kernels(x, target)
    if fast is not None:
        return fast.score(x, size, target)
    logits = _wide(x, size)
    return logits.logsumexp(-1), logits.gather(1, _column(target))[:, 0]


def surprise(x: Tensor, lse: Tensor, target: Tensor, grad: Tensor, size: int, out: Tensor) -> None:
    """``out = grad (p − onehot)``: cross-entropy's backward."""
    fast = kernels(x, target)
    if fast is not None:
        fast.surprise(x, size, lse, target, grad, out)
        return
    minus_one = torch.full_like(_column(lse), -1.0)
    change = _p(x, size, lse).scatter_add(1, _column(target), minus_one)
    out[:, :size] = change * _column(grad)
    out[:, size:] = 0


def descend(x: Tensor, step: Tensor, out: Tensor) -> None:
    """``out = softmax(x) − step``, all of x; the step may be padded."""
    fast = kernels(x, step, out)
    if fast is not None:
        fast.descend(x, step, out)
    else:
        out.copy_(_wide(x, x.shape[1]).softmax(-1) - step[:, : x.shape[1]])


def softmax_adjoint(x: Tensor, grad: Tensor, out: Tensor) -> None:
    """``out = p (grad − Σ p grad)``: the softmax's backward, from its input."""
    fast = kernels(x, grad, out)
    if fast is not None:
        fast.softmax_adjoint(x, grad, out)
        return
    p = _wide(x, x.shape[1]).softmax(-1)
    out.copy_(p * (grad - (p * grad).sum(-1, keepdim=True)))
