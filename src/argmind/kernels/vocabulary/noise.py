"""Normal noise that is a function of its place, written where it is wanted and nowhere else.

Philox-4x32 with 10 rounds turns (key, row, group of four columns) into four 32-bit words, and
Box–Muller these into four numbers. CPU and GPU draw the same bits; their logarithms and cosines
may differ in the last place. Source: Salmon et al. 2011, Parallel random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from argmind.kernels.vocabulary import rows
from argmind.kernels.vocabulary.chunks import candidate_room, chunks
from argmind.randomness import Randomness, uniform

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF


def counted_normal(
    shape: Sequence[int], std: float, source: Randomness, like: Tensor, dtype: torch.dtype
) -> Tensor:
    """N(0, std²) numbers (B, …, V) on the device of ``like``; drawn is but a key per problem."""
    parts = uniform((shape[0], 4), like.new_empty(0, dtype=torch.float32), source)
    halves = (parts * 2**16).long()
    keys = halves[:, 0::2] << 16 | halves[:, 1::2]
    numbers = torch.ops.argmind.counted_normal(keys, math.prod(shape[1:-1]), shape[-1], std, dtype)
    return numbers.view(tuple(shape))


@torch.library.custom_op(
    "argmind::counted_normal",
    mutates_args=(),
    schema="(Tensor keys, int rows, int columns, float std, ScalarType dtype) -> Tensor",
)
def _counted_normal(
    keys: Tensor, rows_each: int, columns: int, std: float, dtype: torch.dtype
) -> Tensor:
    out = _room(keys, rows_each, columns, std, dtype)
    fast = rows.kernels(out, keys)
    for part, key in zip(out, keys, strict=True):
        (_fill if fast is None else fast.fill_normal)(part, std, key)
    return out


@_counted_normal.register_fake
def _room(keys: Tensor, rows_each: int, columns: int, std: float, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    return candidate_room(keys, (len(keys), rows_each), columns, dtype)


def _fill(out: Tensor, std: float, key: Tensor) -> None:
    group = torch.arange(-(-out.shape[1] // 4), device=out.device)
    for part in chunks(len(out), 4 * out.shape[1]):  # words take eight bytes while they are made
        row = torch.arange(part.start, part.stop, device=out.device)
        words = philox(group[None, :], row[:, None], key)
        out[part] = std * _normal(words).flatten(1)[:, : out.shape[1]]


def philox(column: Tensor, row: Tensor, key: Tensor) -> Tensor:
    """Four words (..., 4), as int64, of counters (column, row, 0, 0)."""
    column, row = torch.broadcast_tensors(column, row)
    nothing = torch.zeros_like(column)
    c0, c1, c2, c3 = column & _WORD, row & _WORD, nothing, nothing
    k0, k1 = key[0], key[1]
    for _ in range(10):
        high0, low0 = _multiply(_MULTIPLIERS[0], c0)
        high1, low1 = _multiply(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return torch.stack((c0, c1, c2, c3), -1)


def _multiply(a: int, b: Tensor) -> tuple[Tensor, Tensor]:
    """High and low word of a product of words, within signed 64 bits."""
    low = a * (b & 0xFFFF)
    high = a * (b >> 16)
    return (high + (low >> 16)) >> 16, (low + (high << 16)) & _WORD


def _normal(words: Tensor) -> Tensor:
    """(..., 4) words → (..., 4) numbers."""
    fraction = (words >> 8).float() * 2.0**-24 + 2.0**-25
    radius = (-2 * fraction[..., 0::2].log()).sqrt()
    angle = 2 * math.pi * fraction[..., 1::2]
    return torch.stack((radius * angle.cos(), radius * angle.sin()), -1).flatten(-2)
