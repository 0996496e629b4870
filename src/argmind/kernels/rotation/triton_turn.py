"""The Triton form of :mod:`plain`: every pair of numbers is read and written once.

A program turns all heads of a few rows by the angles of their positions, which it reads once.
Arithmetic is in float32. Importing this module needs Triton.
"""

# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Rows of a program, and heads that it has at hand at a time.
_ROWS, _HEADS = 4, 4
_MOST_PARTS = 3


def apart(
    rows: Tensor, parts: Sequence[Tensor], cos: Tensor, sin: Tensor, turned: int, back: bool
) -> None:
    """See :func:`plain.apart`."""
    rows = rows if rows.stride(-1) == 1 else rows.contiguous()
    _launch(rows, parts, cos, sin, turned, back, True)


def together(
    rows: Tensor, parts: Sequence[Tensor], cos: Tensor, sin: Tensor, turned: int, back: bool
) -> None:
    """See :func:`plain.together`."""
    parts = [x if x.stride(-1) == 1 else x.contiguous() for x in parts]
    _launch(rows, parts, cos, sin, turned, back, False)


def _launch(
    rows: Tensor,
    parts: Sequence[Tensor],
    cos: Tensor,
    sin: Tensor,
    turned: int,
    back: bool,
    takes_apart: bool,
) -> None:
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"rows have at most {_MOST_PARTS} parts, got {len(parts)}")
    batch, length, _ = rows.shape
    half, count = cos.shape[-1], batch * length
    if not count:
        return
    heads = [x.shape[-1] // (2 * half) for x in parts]
    # Parts that are not there have no heads.
    missing = _MOST_PARTS - len(parts)
    given = [*parts, *[parts[0]] * missing]
    kernel: Any = _turn
    with torch.cuda.device_of(rows):
        kernel[(triton.cdiv(count, _ROWS),)](
            *(rows, *given, cos.contiguous(), sin.contiguous(), count, length),
            *(stride for x in (rows, *given) for stride in x.stride()[:2]),
            # One table of positions may serve all problems.
            0 if len(cos) == 1 else length * half,
            *(*heads, *[0] * missing),
            *(index < turned for index in range(_MOST_PARTS)),
            HALF=half,
            PAIRS=triton.next_power_of_2(half),
            BACK=back,
            APART=takes_apart,
            ROWS=_ROWS,
            GROUP=_HEADS,
        )


@triton.jit
def _turn(
    rows, one, two, three, cos, sin, count, length,
    rows_b, rows_s, one_b, one_s, two_b, two_s, three_b, three_s, table,
    H1: tl.constexpr, H2: tl.constexpr, H3: tl.constexpr,
    TURNS1: tl.constexpr, TURNS2: tl.constexpr, TURNS3: tl.constexpr,
    HALF: tl.constexpr, PAIRS: tl.constexpr, BACK: tl.constexpr, APART: tl.constexpr,
    ROWS: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    problem, place = (row // length).to(tl.int64), (row % length).to(tl.int64)
    pair = tl.arange(0, PAIRS)
    there = (row < count)[:, None] & (pair < HALF)[None, :]
    angle = (problem * table + place * HALF)[:, None] + pair[None, :]
    c = tl.load(cos + angle, mask=there, other=0.0).to(tl.float32)
    s = tl.load(sin + angle, mask=there, other=0.0).to(tl.float32)
    if BACK:
        s = -s
    whole = rows + problem * rows_b + place * rows_s
    _part(whole, one + problem * one_b + place * one_s, c, s, there,
          H1, TURNS1, HALF, PAIRS, APART, GROUP)  # fmt: skip
    _part(whole + H1 * 2 * HALF, two + problem * two_b + place * two_s, c, s, there,
          H2, TURNS2, HALF, PAIRS, APART, GROUP)  # fmt: skip
    _part(whole + (H1 + H2) * 2 * HALF, three + problem * three_b + place * three_s, c, s, there,
          H3, TURNS3, HALF, PAIRS, APART, GROUP)  # fmt: skip


@triton.jit
def _part(
    whole, part, c, s, there,
    HEADS: tl.constexpr, TURNS: tl.constexpr, HALF: tl.constexpr, PAIRS: tl.constexpr,
    APART: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """All heads of one part of some rows, a group of them at a time."""
    pair = tl.arange(0, PAIRS)[None, None, :, None]
    for first in tl.static_range(0, HEADS, GROUP):
        head = first + tl.arange(0, GROUP)
        at = head[None, :, None, None] * 2 * HALF + 2 * pair + tl.arange(0, 2)[None, None, None, :]
        inside = there[:, None, :, None] & (head < HEADS)[None, :, None, None]
        in_rows, in_part = whole[:, None, None, None] + at, part[:, None, None, None] + at
        numbers = tl.load(in_rows if APART else in_part, mask=inside)
        if TURNS:
            a, b = tl.split(numbers.to(tl.float32))
            cs, sn = c[:, None, :], s[:, None, :]
            turned = tl.join(a * cs - b * sn, a * sn + b * cs)
            numbers = turned.to(part.dtype.element_ty)
        tl.store(in_part if APART else in_rows, numbers, mask=inside)
