"""Turning rows in plain PyTorch: what the kernel must equal."""

from __future__ import annotations

import torch
from torch import Tensor


def turn(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor, *, turns: bool, back: bool) -> None:
    """Fill ``out`` with rows x (B, S, H d), every pair (2j, 2j + 1) turned or as it is."""
    if not turns:
        out.copy_(x)
        return
    wide = x.to(torch.promote_types(x.dtype, cos.dtype))
    a, b = wide.unflatten(-1, (-1, cos.shape[-1], 2)).unbind(-1)
    c, s = (one.transpose(1, 2) for one in (cos, -sin if back else sin))
    out.copy_(torch.stack([a * c - b * s, a * s + b * c], -1).flatten(2))
