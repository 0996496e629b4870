"""What attention is asked for: the tensors, and which keys each row sees."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Limits(NamedTuple):
    """Which context keys each candidate row sees, by index.

    Row r of R = N · P rows sees keys ``first ≤ j ≤ after[r mod P]`` of the context proper (none
    where ``after`` is less than ``first``), and the ``lead`` keys that stand before it.
    ``after`` (B or 1, P) and ``first`` (B,) are integers; ``first`` None: nothing is padding.
    """

    after: Tensor
    first: Tensor | None = None
    lead: int = 0

    def mask(self, rows: int, keys: int) -> Tensor:
        """The same as a mask (B or 1, rows, keys), True where seen; ``keys`` counts the lead."""
        after = self.after.repeat(1, rows // self.after.shape[1])
        return self.mask_of(after, keys)

    def mask_of(self, after: Tensor, keys: int) -> Tensor:
        """:meth:`mask` for rows that follow these context rows (B or 1, R)."""
        column = torch.arange(keys, device=after.device) - self.lead
        seen = column <= after[..., None]
        if self.first is not None:
            seen = seen & ((column >= self.first[:, None, None]) | (column < 0))
        return seen


class Problem(NamedTuple):
    """Attention of R rows over S shared keys, and each row's own key if there is one.

    Shapes: q (B, H, R, d), keys and values (B, Hkv, S, d), own key and value (B, Hkv, R, d).
    With ``limits`` None every row sees every key.
    """

    q: Tensor
    keys: Tensor
    values: Tensor
    own_k: Tensor | None = None
    own_v: Tensor | None = None
    limits: Limits | None = None

    @property
    def scale(self) -> float:
        """τ, what scores are multiplied by."""
        return self.q.shape[-1] ** -0.5

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values; each serves ``group`` heads of queries."""
        return self.keys.shape[1]

    @property
    def group(self) -> int:
        """Query heads per key head."""
        return self.q.shape[1] // self.kv_heads

    @property
    def wide(self) -> torch.dtype:
        """The type of accumulators and statistics."""
        return torch.promote_types(self.q.dtype, torch.float32)


class Forward(NamedTuple):
    """out (B, H, R, d), and lse (B, H, R) in at least fp32."""

    out: Tensor
    lse: Tensor


class Vectors(NamedTuple):
    """One tensor for each differentiable input: adjoints or tangents; None where it is zero."""

    q: Tensor | None
    keys: Tensor | None
    values: Tensor | None
    own_k: Tensor | None
    own_v: Tensor | None


class Inner(NamedTuple):
    """Adjoints of the inner backward, and D (B, H, R)."""

    adjoints: Vectors
    delta: Tensor


class Tangent(NamedTuple):
    """Ȯ (B, H, R, d), r = dlse and ⟨dO, Ȯ⟩ (B, H, R)."""

    out: Tensor
    lse: Tensor
    product: Tensor


def rows_major(x: Tensor) -> Tensor:
    """(B, heads, R, d) laid out as (B, R, heads, d), as linear layers give and take it."""
    if x.stride() == _rows_major_strides(x.shape):
        return x
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def room(x: Tensor) -> Tensor:
    """An uninitialised tensor shaped as ``x`` in that layout."""
    strides = _rows_major_strides(x.shape)
    return torch.empty_strided(x.shape, strides, dtype=x.dtype, device=x.device)


def _rows_major_strides(shape: torch.Size) -> tuple[int, int, int, int]:
    _, heads, rows, dim = shape
    return rows * heads * dim, dim, heads * dim, 1
