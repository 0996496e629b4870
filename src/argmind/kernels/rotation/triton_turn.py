"""The Triton form of :mod:`plain`: every pair of numbers is read and written once.

A program turns all heads of a few rows by the angles of their positions, which it reads once.
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

_ROWS = 4


def turn(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor, *, turns: bool, back: bool) -> None:
    """See :func:`plain.turn`."""
    batch, length, width = x.shape
    rows, half = batch * length, cos.shape[-1]
    if not rows:
        return
    x = x if x.stride(-1) == 1 else x.contiguous()
    cos, sin = cos.contiguous(), sin.contiguous()
    kernel: Any = _turn
    with torch.cuda.device_of(x):
        kernel[(triton.cdiv(rows, _ROWS),)](
            *(x, cos, sin, out, rows, length),
            *(x.stride(0), x.stride(1), out.stride(0), out.stride(1)),
            # One table of positions may serve all problems.
            0 if len(cos) == 1 else length * half,
            HEADS=width // (2 * half),
            HALF=half,
            PAIRS=triton.next_power_of_2(half),
            TURNS=turns,
            BACK=back,
            ROWS=_ROWS,
        )


@triton.jit
def _turn(
    x, cos, sin, out, count, length, x_problem, x_row, out_problem, out_row, table,
    HEADS: tl.constexpr, HALF: tl.constexpr, PAIRS: tl.constexpr, TURNS: tl.constexpr,
    BACK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    problem, place = (row // length).to(tl.int64), (row % length).to(tl.int64)
    pair = tl.arange(0, PAIRS)[None, :]
    inside = (row < count)[:, None] & (pair < HALF)
    both = 2 * pair[:, :, None] + tl.arange(0, 2)[None, None, :]
    source = x + (problem * x_problem + place * x_row)[:, None, None] + both
    goal = out + (problem * out_problem + place * out_row)[:, None, None] + both
    angle = (problem * table + place * HALF)[:, None] + pair
    c = tl.load(cos + angle, mask=inside, other=0.0).to(tl.float32)
    s = tl.load(sin + angle, mask=inside, other=0.0).to(tl.float32)
    if BACK:
        s = -s
    for head in tl.range(HEADS, loop_unroll_factor=4):
        at = head * 2 * HALF
        numbers = tl.load(source + at, mask=inside[:, :, None])
        if TURNS:
            a, b = tl.split(numbers.to(tl.float32))
            numbers = tl.join(a * c - b * s, a * s + b * c).to(out.dtype.element_ty)
        tl.store(goal + at, numbers, mask=inside[:, :, None])
