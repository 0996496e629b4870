"""Self-attention with rotary positions: one set of weights, two ways to attend."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.kernels.attention.problem import Limits
from argmind.nn.attention.base import CandidateAttention
from argmind.nn.joined import joined, together
from argmind.nn.norm.rms import RMSNorm
from argmind.nn.position import Rotation, has_kernel, rotate, turned_apart


class KeysValues(NamedTuple):
    """Keys and values of a context, each (B, Hkv, S, head_dim)."""

    keys: Tensor
    values: Tensor


class SelfAttention(nn.Module):
    """Projections of one layer; ``context`` attends causally, ``candidate`` to context and itself.

    Grouped-query heads: ``num_kv_heads`` keys and values serve ``num_heads`` queries.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_kv_heads: int,
        mechanism: CandidateAttention,
        qk_norm: bool,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        self.qk_norm = qk_norm
        self.head_dim = dim // num_heads
        self.mechanism = mechanism
        self.wq = nn.Linear(dim, num_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(dim, num_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, num_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(num_heads * self.head_dim, dim, bias=False)
        norm = RMSNorm.Config()
        self.q_norm = RMSNorm(norm, self.head_dim) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(norm, self.head_dim) if qk_norm else nn.Identity()

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.unflatten(-1, (heads, self.head_dim)).transpose(1, 2)

    def keys_values(self, x: Tensor, turn: Rotation) -> KeysValues:
        """Keys (turned) and values of rows ``x`` (B, S, dim)."""
        if self._turns_at_once(x):
            rows = together(x, self.wk, self.wv)
            return KeysValues(*turned_apart(rows, turn, 2 * (self.num_kv_heads,)))
        keys, values = joined(x, self.wk, self.wv)
        return self._keys_values(keys, values, turn)

    def read(self, x: Tensor, turn: Rotation) -> tuple[Tensor, KeysValues]:
        """Queries (turned) of rows ``x`` (B, S, dim), and their keys and values."""
        if self._turns_at_once(x):
            rows = together(x, self.wq, self.wk, self.wv)
            heads = (self.num_heads, self.num_kv_heads, self.num_kv_heads)
            queries, keys, values = turned_apart(rows, turn, heads)
            return queries, KeysValues(keys, values)
        queries, keys, values = joined(x, self.wq, self.wk, self.wv)
        turned = rotate(self.q_norm(self._heads(queries, self.num_heads)), turn)
        return turned, self._keys_values(keys, values, turn)

    def _turns_at_once(self, x: Tensor) -> bool:
        """Does one kernel take projections apart and turn them, with no norm in between?"""
        return not self.qk_norm and has_kernel(x)

    def _keys_values(self, keys: Tensor, values: Tensor, turn: Rotation) -> KeysValues:
        turned = rotate(self.k_norm(self._heads(keys, self.num_kv_heads)), turn)
        return KeysValues(turned, self._heads(values.contiguous(), self.num_kv_heads))

    def _output(self, attended: Tensor) -> Tensor:
        return self.wo(attended.transpose(1, 2).flatten(2))

    def context(self, queries: Tensor, seen: KeysValues, visible: Tensor | None) -> Tensor:
        """Ordinary attention of rows over ``seen``; differentiated once, so SDPA serves.

        ``visible`` (B, 1, R, S) bool, or None for plain causal attention over equal lengths.
        """
        attended = F.scaled_dot_product_attention(
            queries,
            seen.keys,
            seen.values,
            attn_mask=visible,
            is_causal=visible is None,
            enable_gqa=self.num_heads != self.num_kv_heads,
        )
        return self._output(attended)

    def candidate(self, x: Tensor, turn: Rotation, seen: KeysValues, limits: Limits) -> Tensor:
        """Attention of candidate rows ``x`` (B, R, dim) over the visible context and themselves."""
        queries, own = self.read(x, turn)
        attended = self.mechanism(queries, own.keys, own.values, seen.keys, seen.values, limits)
        return self._output(attended)
