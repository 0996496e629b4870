"""Positions in a sequence: rotary (RoPE), and fixed sines and cosines to add.

Rotary positions are in the interleaved form: elements 2j and 2j+1 turn together.
"""

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
    find = _turns_once if torch.compiler.is_compiling() else _turns
    return Rotation(*find(positions, head_dim, base, wide))


def _turns(
    positions: Tensor, head_dim: int, base: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=dtype) / head_dim
    angles = positions.to(dtype)[:, None, :, None] * base**-exponents
    return angles.cos(), angles.sin()


#: One that compilers do not look into: they would compute every angle again wherever it is used.
_turns_once = torch.library.custom_op("argmind::turns", _turns, mutates_args=())


@_turns_once.register_fake
def _(positions: Tensor, head_dim: int, base: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    shape = (len(positions), 1, positions.shape[1], head_dim // 2)
    return positions.new_empty(shape, dtype=dtype), positions.new_empty(shape, dtype=dtype)


def rotate(x: Tensor, turn: Rotation) -> Tensor:
    """Turn queries or keys (B, H, S, head_dim) by their positions; keeps the type of ``x``.

    Compiled, the result lies in memory as linear layers give rows, (B, S, H, head_dim).
    """
    wide = x.to(turn.cos.dtype).unflatten(-1, (-1, 2))
    if not torch.compiler.is_compiling():  # as complex numbers, in one pass
        turned = torch.view_as_complex(wide) * torch.complex(turn.cos, turn.sin)
        return torch.view_as_real(turned).flatten(-2).to(x.dtype)
    # Without unbinding and stacking: compiled, their derivatives would read everything twice.
    signs = 2 * torch.arange(2, device=x.device) - 1
    cos, sin = (t.transpose(1, 2)[..., None] for t in turn)
    pairs = wide.transpose(1, 2)
    turned = pairs * cos + pairs.flip(-1) * (sin * signs)
    return turned.flatten(-2).to(x.dtype).transpose(1, 2)


def turned_apart(rows: Tensor, turn: Rotation, heads: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Heads (B, Hᵢ, S, head_dim) out of rows (B, S, ΣHᵢ head_dim), all but the last part turned."""
    # Imported when first used: it brings in the compiler, which takes a second.
    from argmind.kernels.rotation.heads import turned_apart

    return turned_apart(rows, *turn, heads, len(heads) - 1)


def has_kernel(rows: Tensor) -> bool:
    """Would :func:`turned_apart` be faster here than :func:`rotate` of each part?"""
    if not torch.compiler.is_compiling():
        return False
    from argmind.kernels.rotation.heads import serves

    return serves(rows.device, rows.dtype)


def waves(count: int, dim: int) -> Tensor:
    """Fixed sines and cosines (count, dim) of positions 0, 1, …, sines first.

    Source: Vaswani et al. 2017, section 3.5.
    """
    if dim % 2:
        raise ValueError(f"sines and cosines need an even width, got {dim}")
    omega = 10_000.0 ** -(torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
    angles = torch.arange(count, dtype=torch.float64)[:, None] * omega
    return torch.cat([angles.sin(), angles.cos()], dim=1)
