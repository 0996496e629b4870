"""The Triton form of :mod:`plain`: every pair of numbers is read and written once.

Arithmetic is in float32. Importing this module needs Triton.
"""

# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_PAIRS = 1024


def turn(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor, *, turns: bool, back: bool) -> None:
    """See :func:`plain.turn`."""
    batch, length, width = x.shape
    pairs = batch * length * width // 2
    if not pairs:
        return
    x = x if x.stride(-1) == 1 else x.contiguous()
    cos, sin = cos.contiguous(), sin.contiguous()
    with torch.cuda.device_of(x):
        _turn[(triton.cdiv(pairs, _PAIRS),)](
            *(x, cos, sin, out, pairs, length),
            *(x.stride(0), x.stride(1), out.stride(0), out.stride(1)),
            # One table of positions may serve all problems.
            0 if len(cos) == 1 else length * cos.shape[-1],
            PAIRS=width // 2,
            HEAD=cos.shape[-1],
            TURNS=turns,
            BACK=back,
            WIDE=pairs >= 2**31,
            BLOCK=_PAIRS,
        )


@triton.jit
def _turn(
    x, cos, sin, out, count, length, x_problem, x_row, out_problem, out_row, table,
    PAIRS: tl.constexpr, HEAD: tl.constexpr, TURNS: tl.constexpr, BACK: tl.constexpr,
    WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    pair = program * BLOCK + tl.arange(0, BLOCK)
    inside = pair < count
    row, column = pair // PAIRS, pair % PAIRS
    problem, place = (row // length).to(tl.int64), row % length
    both = tl.arange(0, 2)[None, :]
    source = problem * x_problem + place * x_row + 2 * column
    goal = problem * out_problem + place * out_row + 2 * column
    numbers = tl.load(x + source[:, None] + both, mask=inside[:, None])
    if TURNS:
        angle = problem * table + place * HEAD + column % HEAD
        c = tl.load(cos + angle, mask=inside).to(tl.float32)
        s = tl.load(sin + angle, mask=inside).to(tl.float32)
        if BACK:
            s = -s
        a, b = tl.split(numbers.to(tl.float32))
        numbers = tl.join(a * c - b * s, a * s + b * c).to(out.dtype.element_ty)
    tl.store(out + goal[:, None] + both, numbers, mask=inside[:, None])
