"""What the Triton kernels share: which rows a program has, what it loads, what rows see.

``LIMITED``: rows see keys up to an index; else all of them. ``PADDED``: from an index on.
``LEAD``: keys before the context proper, seen by every row. Indices below are column numbers, the
lead counted. Rows lie as (B, R, heads, W), keys as their strides say, statistics as (B, H, R);
D is W rounded up to a power of two.
"""

# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false, reportPrivateUsage=false

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
#: How many row limits a program of keys looks at at once.
LOOK = tl.constexpr(1024)


@triton.jit
def program(R, H, BM: tl.constexpr):
    """(sequence, head, rows) of a row program; those that see most keys come first."""
    blocks = tl.cdiv(R, BM)
    pid = tl.program_id(0)
    block = blocks - 1 - pid % blocks
    head = pid // blocks
    return (head // H).to(tl.int64), head % H, block * BM + tl.arange(0, BM)


@triton.jit
def load(X, rows, stride, count, D: tl.constexpr, W: tl.constexpr, MASKED: tl.constexpr):
    """Rows of a matrix of width W, filled up to D; those beyond ``count`` are zero."""
    at = tl.arange(0, D)[None, :]
    pointers = X + rows[:, None] * stride + at
    if MASKED:
        return tl.load(pointers, mask=(rows[:, None] < count) & (at < W), other=0.0)
    return tl.load(pointers) if D == W else tl.load(pointers, mask=at < W, other=0.0)


@triton.jit
def store(X, rows, stride, count, x, D: tl.constexpr, W: tl.constexpr):
    """Write rows of a matrix of width W, in the type of ``X``."""
    at = tl.arange(0, D)[None, :]
    pointers = X + rows[:, None] * stride + at
    tl.store(pointers, x.to(X.dtype.element_ty), mask=(rows[:, None] < count) & (at < W))


@triton.jit
def statistic(X, rows, count, other, MASKED: tl.constexpr):
    """One number for each row; ``other`` for those beyond ``count``."""
    return tl.load(X + rows, mask=rows < count, other=other) if MASKED else tl.load(X + rows)


@triton.jit
def dot(a, b):
    """Inner products of rows in fp32."""
    return tl.sum(a.to(tl.float32) * b.to(tl.float32), 1)


@triton.jit
def row_limits(
    AFTER,
    after_stride,
    FIRST,
    b,
    rows,
    R,
    P,
    S,
    LIMITED: tl.constexpr,
    PADDED: tl.constexpr,
    LEAD: tl.constexpr,
    BN: tl.constexpr,
):
    """(last column of each row, first column, where blocks begin, turn to mixed, end).

    From ``begin`` to ``mixed`` every row sees whole blocks of BN columns.
    """
    if LIMITED:
        last = tl.load(AFTER + b * after_stride + rows % P, mask=rows < R, other=-1)
        last = tl.minimum(last.to(tl.int32) + LEAD, S - 1)
        end = tl.max(last, 0) + 1
        mixed = (tl.min(tl.where(rows < R, last, S - 1), 0) + 1) // BN * BN
    else:
        last = rows * 0 + S - 1
        end = S
        mixed = S // BN * BN
    begin = 0
    first = 0
    if PADDED:
        first = tl.load(FIRST + b).to(tl.int32) + LEAD
        if LEAD == 0:
            begin = first // BN * BN
        mixed = begin
    return last, first, begin, mixed, end


@triton.jit
def seen(columns, last, first, PADDED: tl.constexpr, LEAD: tl.constexpr):
    """Does a row see a column?"""
    mask = columns <= last
    if PADDED:
        mask = mask & ((columns >= first) | (columns < LEAD))
    return mask


@triton.jit
def column_limits(
    AFTER,
    after_stride,
    b,
    low,
    P,
    LEAD: tl.constexpr,
    PADDED: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    """Row blocks from ``begin`` on may see columns ``low`` to ``low + BN``; from ``whole`` on they
    see all of them."""
    begin = P
    whole = 0
    for at in range(0, P, LOOK):
        rows = at + tl.arange(0, LOOK)
        last = tl.load(AFTER + b * after_stride + rows, mask=rows < P, other=-1 - LEAD)
        last = last.to(tl.int32) + LEAD
        begin = tl.minimum(begin, tl.min(tl.where(last >= low, rows, P), 0))
        partly = (last < low + BN - 1) & (rows < P)
        whole = tl.maximum(whole, tl.max(tl.where(partly, rows + 1, 0), 0))
    begin = begin // BM * BM
    whole = tl.maximum(tl.cdiv(whole, BM) * BM, begin)
    if PADDED:
        whole = P
    return begin, whole
