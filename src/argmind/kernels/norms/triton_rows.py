"""Triton forms of :mod:`rows`: a program reads a few whole rows, and writes them once.

Arithmetic is in float32. Importing this module needs Triton.
"""

# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Numbers that a program has at hand of each tensor, in rows of a length that is a power of two.
_NUMBERS = 2048


def normed(x: Tensor, eps: float, centred: bool) -> Tensor:
    """See :func:`rows.normed`."""
    x = x.contiguous()
    out = torch.empty_like(x)
    _launch(_normed, (x, out), eps, centred)
    return out


def adjoint(grad: Tensor, x: Tensor, eps: float, centred: bool) -> Tensor:
    """See :func:`rows.adjoint`."""
    grad, x = grad.contiguous(), x.contiguous()
    out = torch.empty_like(grad)
    _launch(_adjoint, (grad, x, out), eps, centred)
    return out


def second(
    along: Tensor, grad: Tensor, x: Tensor, eps: float, centred: bool
) -> tuple[Tensor, Tensor]:
    """See :func:`rows.second`."""
    along, grad, x = along.contiguous(), grad.contiguous(), x.contiguous()
    by_grad, by_x = torch.empty_like(along), torch.empty_like(x)
    _launch(_second, (along, grad, x, by_grad, by_x), eps, centred)
    return by_grad, by_x


def _launch(kernel: Any, tensors: tuple[Tensor, ...], eps: float, centred: bool) -> None:
    size = tensors[0].shape[-1]
    if not tensors[0].numel():
        return
    rows = tensors[0].numel() // size
    width = triton.next_power_of_2(size)
    block = max(1, _NUMBERS // width)
    with torch.cuda.device_of(tensors[0]):
        kernel[(triton.cdiv(rows, block),)](
            *tensors, rows, eps, SIZE=size, WIDTH=width, BLOCK=block, CENTRED=centred
        )


@triton.jit
def _places(rows, SIZE: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Where this program's numbers lie, and which of them there are."""
    row = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)[:, None]
    column = tl.arange(0, WIDTH)[None, :]
    return row * SIZE + column, (row < rows) & (column < SIZE)


@triton.jit
def _read(x, at, inside, SIZE: tl.constexpr, CENTRED: tl.constexpr):
    """Whole rows, less their means where that is wanted; zeros beside them."""
    numbers = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if CENTRED:
        numbers = tl.where(inside, numbers - tl.sum(numbers, 1)[:, None] / SIZE, 0.0)
    return numbers


@triton.jit
def _mean(a, b, SIZE: tl.constexpr):
    return tl.sum(a * b, 1)[:, None] / SIZE


@triton.jit
def _normed(
    x, out, rows, eps,
    SIZE: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, CENTRED: tl.constexpr,
):  # fmt: skip
    at, inside = _places(rows, SIZE, WIDTH, BLOCK)
    c = _read(x, at, inside, SIZE, CENTRED)
    r = 1.0 / tl.sqrt(_mean(c, c, SIZE) + eps)
    tl.store(out + at, c * r, mask=inside)


@triton.jit
def _adjoint(
    grad, x, out, rows, eps,
    SIZE: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, CENTRED: tl.constexpr,
):  # fmt: skip
    at, inside = _places(rows, SIZE, WIDTH, BLOCK)
    g = _read(grad, at, inside, SIZE, CENTRED)
    c = _read(x, at, inside, SIZE, CENTRED)
    r = 1.0 / tl.sqrt(_mean(c, c, SIZE) + eps)
    n = c * r
    tl.store(out + at, (g - n * _mean(g, n, SIZE)) * r, mask=inside)


@triton.jit
def _second(
    along, grad, x, by_grad, by_x, rows, eps,
    SIZE: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, CENTRED: tl.constexpr,
):  # fmt: skip
    at, inside = _places(rows, SIZE, WIDTH, BLOCK)
    t = _read(along, at, inside, SIZE, CENTRED)
    g = _read(grad, at, inside, SIZE, CENTRED)
    c = _read(x, at, inside, SIZE, CENTRED)
    r = 1.0 / tl.sqrt(_mean(c, c, SIZE) + eps)
    n = c * r
    t_n, g_n = _mean(t, n, SIZE), _mean(g, n, SIZE)
    bend = n * (3.0 * t_n * g_n - _mean(t, g, SIZE)) - t * g_n - g * t_n
    tl.store(by_grad + at, (t - n * t_n) * r, mask=inside)
    tl.store(by_x + at, bend * r * r, mask=inside)
