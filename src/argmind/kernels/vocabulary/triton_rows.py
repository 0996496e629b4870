"""Triton forms of :mod:`rows`: one program per row, or per block of a row where rows need no sum.

All arithmetic is in float32; a program reads and writes each number of its row once, twice where
the row's log-sum-exp has to be known first. Rows are read as far as they reach, so that padded ones
are read in whole vectors, and counted as far as there are tokens.
"""

# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false
# ruff: noqa: ARG001 - every kernel is told SIZE, READ and WRITE

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from argmind.kernels.vocabulary.chunks import to_their_ends

_BLOCK, _WARPS = 4096, 8


def softmax(x: Tensor, size: int, p: Tensor) -> Tensor:
    """Fills ``p``; the log-sum-exp."""
    lse = _statistic(x)
    _launch(_softmax, x, size, lse, p)
    return lse


def adjoint(x: Tensor, size: int, lse: Tensor, dp: Tensor, mean: Tensor, p: Tensor | None) -> None:
    """Fills ``p``, if it is wanted; ``ds`` takes the place of ``dp``."""
    _launch_blocks(_adjoint, x, size, lse, dp, mean, dp if p is None else p, WANTED=p is not None)


def tangent(x: Tensor, size: int, lse: Tensor, x_d: Tensor, p: Tensor, h: Tensor) -> Tensor:
    """Fills ``p`` and ``h``; r."""
    r = _statistic(x)
    _launch(_tangent, x, size, lse, x_d, p, h, r)
    return r


def second(
    p: Tensor,
    size: int,
    x_d: Tensor,
    dp: Tensor,
    dp_d: Tensor | None,
    means: tuple[Tensor, Tensor, Tensor],
    p_d: Tensor,
    ds_d: Tensor,
) -> None:
    """Fills ``p_d`` and ``ds_d``; ``ds`` takes the place of ``dp``."""
    given = p if dp_d is None else dp_d
    # Rows of the tangent are read: where logits are given they are shorter than buffers.
    _launch_blocks(_second, x_d, size, p, dp, given, *means, p_d, ds_d, GIVEN=dp_d is not None)


def score(x: Tensor, size: int, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-sum-exp, and each row's logit of its target."""
    lse, picked = _statistic(x), _statistic(x)
    _launch(_score, x, size, target, lse, picked)
    return lse, picked


def surprise(x: Tensor, size: int, lse: Tensor, target: Tensor, grad: Tensor, out: Tensor) -> None:
    """Fills ``out``."""
    _launch_blocks(_surprise, x, size, lse, target.contiguous(), grad.contiguous(), out)


def descend(x: Tensor, step: Tensor, out: Tensor) -> None:
    """Fills ``out``."""
    _launch(_descend, x, x.shape[1], step, out)


def softmax_adjoint(x: Tensor, grad: Tensor, out: Tensor) -> None:
    """Fills ``out``."""
    _launch(_softmax_adjoint, x, x.shape[1], grad, out)


def fill_normal(out: Tensor, std: float, key: Tensor) -> None:
    """Noise by place; see :mod:`noise`."""
    _launch_blocks(_fill_normal, out, out.shape[1], key, STD=std)


def _statistic(x: Tensor) -> Tensor:
    return x.new_empty(len(x), dtype=torch.float32)


def _arguments(tensors: tuple[Tensor, ...]) -> list[Any]:
    """Tensors, then the row stride of each that is a matrix."""
    assert all(x.stride(-1) == 1 for x in tensors)
    return [*tensors, *(x.stride(0) for x in tensors if x.ndim == 2)]


def _constants(x: Tensor, size: int, last: Tensor) -> dict[str, int]:
    """SIZE tokens count; READ and WRITE are how far rows reach."""
    write = last.shape[1] if last.ndim == 2 else size
    constants = {"SIZE": size, "READ": x.shape[1], "WRITE": write}
    return constants | {"BLOCK": _BLOCK, "num_warps": _WARPS}


def _reaching(*tensors: Tensor) -> list[Tensor]:
    """The same tensors, with matrices that reach as far as they may."""
    longer = iter(to_their_ends(*(x for x in tensors if x.ndim == 2)))
    return [next(longer) if x.ndim == 2 else x for x in tensors]


def _launch(kernel: Any, x: Tensor, size: int, *given: Tensor) -> None:
    if not len(x):
        return
    x, *rest = _reaching(x, *given)
    matrix = next((y for y in reversed(rest) if y.ndim == 2), x)
    with torch.cuda.device(x.device):
        kernel[(len(x),)](*_arguments((x, *rest)), **_constants(x, size, matrix))


def _launch_blocks(kernel: Any, x: Tensor, size: int, *given: Tensor, **options: Any) -> None:
    if not len(x):
        return
    x, *rest = _reaching(x, *given)
    matrix = next((y for y in reversed(rest) if y.ndim == 2), x)
    rows, columns = matrix.shape
    grid = (rows, triton.cdiv(columns, _BLOCK))
    with torch.cuda.device(x.device):
        kernel[grid](*_arguments((x, *rest)), **_constants(x, size, matrix), **options)


@triton.jit
def _logits(x, at, SIZE: tl.constexpr, READ: tl.constexpr):
    """Of some places of a row; those beyond the tokens have no weight."""
    numbers = tl.load(x + at, mask=at < READ, other=0.0).to(tl.float32)
    return tl.where(at < SIZE, numbers, float("-inf"))


@triton.jit
def _numbers(x, at, SIZE: tl.constexpr, READ: tl.constexpr):
    """Of some places of a row; what stands beyond the tokens may be anything and counts as 0."""
    return tl.where(at < SIZE, tl.load(x + at, mask=at < READ, other=0.0).to(tl.float32), 0.0)


@triton.jit
def _log_sum_exp(x, SIZE: tl.constexpr, READ: tl.constexpr, BLOCK: tl.constexpr):
    """Of one row."""
    most = float("-inf")
    total = 0.0
    for first in range(0, SIZE, BLOCK):
        numbers = _logits(x, first + tl.arange(0, BLOCK), SIZE, READ)
        higher = tl.maximum(most, tl.max(numbers, 0))
        total = total * tl.exp(most - higher) + tl.sum(tl.exp(numbers - higher), 0)
        most = higher
    return most + tl.log(total)


@triton.jit
def _softmax(
    x, lse, p, x_stride, p_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    x += row * x_stride
    p += row * p_stride
    level = _log_sum_exp(x, SIZE, READ, BLOCK)
    tl.store(lse + row, level)
    for first in range(0, WRITE, BLOCK):
        at = first + tl.arange(0, BLOCK)
        tl.store(p + at, tl.exp(_logits(x, at, SIZE, READ) - level), mask=at < WRITE)


@triton.jit
def _score(
    x, target, lse, picked, x_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    x += row * x_stride
    tl.store(lse + row, _log_sum_exp(x, SIZE, READ, BLOCK))
    at = tl.load(target + row)
    # A target that is no token gives no number, rather than another row's.
    right = (at >= 0) & (at < SIZE)
    tl.store(picked + row, tl.load(x + at, mask=right, other=float("nan")).to(tl.float32))


@triton.jit
def _descend(
    x, step, out, x_stride, step_stride, out_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    x += row * x_stride
    step += row * step_stride
    out += row * out_stride
    level = _log_sum_exp(x, SIZE, READ, BLOCK)
    for first in range(0, WRITE, BLOCK):
        at = first + tl.arange(0, BLOCK)
        p = tl.exp(_logits(x, at, SIZE, READ) - level)
        inside = at < WRITE
        tl.store(out + at, p - tl.load(step + at, mask=inside).to(tl.float32), mask=inside)


@triton.jit
def _softmax_adjoint(
    x, grad, out, x_stride, grad_stride, out_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    x += row * x_stride
    grad += row * grad_stride
    out += row * out_stride
    level = _log_sum_exp(x, SIZE, READ, BLOCK)
    mean = 0.0
    for first in range(0, SIZE, BLOCK):
        at = first + tl.arange(0, BLOCK)
        p = tl.exp(_logits(x, at, SIZE, READ) - level)
        mean += tl.sum(p * _numbers(grad, at, SIZE, READ), 0)
    for first in range(0, WRITE, BLOCK):
        at = first + tl.arange(0, BLOCK)
        p = tl.exp(_logits(x, at, SIZE, READ) - level)
        change = _numbers(grad, at, SIZE, READ) - mean
        tl.store(out + at, p * change, mask=at < WRITE)


@triton.jit
def _tangent(
    x, lse, x_d, p, h, r, x_stride, x_d_stride, p_stride, h_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    x += row * x_stride
    x_d += row * x_d_stride
    level = tl.load(lse + row)
    total = 0.0
    for first in range(0, WRITE, BLOCK):
        at = first + tl.arange(0, BLOCK)
        weights = tl.exp(_logits(x, at, SIZE, READ) - level)
        change = weights * _numbers(x_d, at, SIZE, READ)
        tl.store(p + row * p_stride + at, weights, mask=at < WRITE)
        tl.store(h + row * h_stride + at, change, mask=at < WRITE)
        total += tl.sum(change, 0)
    tl.store(r + row, total)


@triton.jit
def _adjoint(
    x, lse, dp, mean, p, x_stride, dp_stride, p_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
    WANTED: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < WRITE
    weights = tl.exp(_logits(x + row * x_stride, at, SIZE, READ) - tl.load(lse + row))
    change = tl.load(dp + row * dp_stride + at, mask=inside).to(tl.float32) - tl.load(mean + row)
    if WANTED:
        tl.store(p + row * p_stride + at, weights, mask=inside)
    tl.store(dp + row * dp_stride + at, weights * change, mask=inside)


@triton.jit
def _second(
    x_d, p, dp, dp_d, r, mean, mean_d, p_d, ds_d,
    x_d_stride, p_stride, dp_stride, dp_d_stride, p_d_stride, ds_d_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
    GIVEN: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < WRITE
    weights = tl.load(p + row * p_stride + at, mask=inside).to(tl.float32)
    along = _numbers(x_d + row * x_d_stride, at, SIZE, READ)
    change = tl.load(dp + row * dp_stride + at, mask=inside).to(tl.float32) - tl.load(mean + row)
    change_d = -tl.load(mean_d + row)
    if GIVEN:
        change_d += tl.load(dp_d + row * dp_d_stride + at, mask=inside).to(tl.float32)
    moved = weights * (along - tl.load(r + row))
    tl.store(p_d + row * p_d_stride + at, moved, mask=inside)
    tl.store(ds_d + row * ds_d_stride + at, moved * change + weights * change_d, mask=inside)
    tl.store(dp + row * dp_stride + at, weights * change, mask=inside)


@triton.jit
def _surprise(
    x, lse, target, grad, out, x_stride, out_stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    weights = tl.exp(_logits(x + row * x_stride, at, SIZE, READ) - tl.load(lse + row))
    weights -= tl.where(at == tl.load(target + row), 1.0, 0.0)
    tl.store(out + row * out_stride + at, weights * tl.load(grad + row), mask=at < WRITE)


@triton.jit
def _fill_normal(
    out, key, stride,
    SIZE: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr, BLOCK: tl.constexpr,
    STD: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    group = tl.program_id(1) * (BLOCK // 4) + tl.arange(0, BLOCK // 4)
    seed = (tl.load(key + 1) << 32) | tl.load(key)
    nothing = tl.zeros([BLOCK // 4], tl.int32)
    w0, w1, w2, w3 = tl.philox(seed, group, nothing + row, nothing, nothing)
    a, b = _pair(w0, w1)
    c, d = _pair(w2, w3)
    numbers = tl.reshape(tl.join(tl.join(a, c), tl.join(b, d)), [BLOCK])
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + row.to(tl.int64) * stride + at, STD * numbers, mask=at < WRITE)


@triton.jit
def _pair(first, second):
    """Two words as two normal numbers."""
    one = (first >> 8).to(tl.float32) * (2.0**-24) + 2.0**-25
    two = (second >> 8).to(tl.float32) * (2.0**-24) + 2.0**-25
    radius = tl.sqrt(-2.0 * tl.log(one))
    angle = 6.283185307179586 * two
    return radius * tl.cos(angle), radius * tl.sin(angle)
