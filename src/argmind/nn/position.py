"""Rotary positions (RoPE), interleaved form: elements 2j and 2j+1 turn together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rotation(NamedTuple):
    """Cosines and sines of every position's angles, each (B or 1, 1, S, head_dim / 2)."""

    cos: Tensor
    sin: Tensor


def rotation(positions: Tensor, head_dim: int, base: float, dtype: torch.dtype) -> Rotation:
    """Angles ``position · base^(−2j / head_dim)`` of integer positions (B or 1, S).

    Source: Su et al. 2021 (RoFormer), section 3.2.
    """
    wide = torch.promote_types(dtype, torch.float32)
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=wide) / head_dim
    angles = positions.to(wide)[:, None, :, None] * base**-exponents
    return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, turn: Rotation) -> Tensor:
    """Turn queries or keys (B, H, S, head_dim) by their positions; keeps the type of ``x``."""
    wide = x.to(turn.cos.dtype).unflatten(-1, (-1, 2))
    if not torch.compiler.is_compiling():  # as complex numbers, in one pass
        turned = torch.view_as_complex(wide) * torch.complex(turn.cos, turn.sin)
        return torch.view_as_real(turned).flatten(-2).to(x.dtype)
    even, odd = wide.unbind(-1)
    pairs = (even * turn.cos - odd * turn.sin, even * turn.sin + odd * turn.cos)
    return torch.stack(pairs, dim=-1).flatten(-2).to(x.dtype)
