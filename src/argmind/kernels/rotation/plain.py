"""Rows taken apart and put together in plain PyTorch: what the kernel must equal.

``rows`` (B, S, (H₁ + H₂ + …) d) and the parts (B, S, Hᵢ d) of them; the first ``turned`` parts
turn, ``back`` or forth.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def apart(
    rows: Tensor, parts: Sequence[Tensor], cos: Tensor, sin: Tensor, turned: int, back: bool
) -> None:
    """Fill the parts."""
    for index, (x, out) in enumerate(zip(_split(rows, parts), parts, strict=True)):
        out.copy_(_turned(x, cos, -sin if back else sin) if index < turned else x)


def together(
    rows: Tensor, parts: Sequence[Tensor], cos: Tensor, sin: Tensor, turned: int, back: bool
) -> None:
    """Fill the rows."""
    for index, (out, x) in enumerate(zip(_split(rows, parts), parts, strict=True)):
        out.copy_(_turned(x, cos, -sin if back else sin) if index < turned else x)


def _split(rows: Tensor, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return rows.split([x.shape[-1] for x in parts], dim=-1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, cos.dtype))
    a, b = wide.unflatten(-1, (-1, cos.shape[-1], 2)).unbind(-1)
    c, s = cos.transpose(1, 2), sin.transpose(1, 2)
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(2)
