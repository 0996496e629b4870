"""A problem in wide types, cut into chunks of rows; and what is gained from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from argmind.kernels.attention.problem import Problem, Vectors

#: Rows of one chunk: its scores are B · H · ROWS · S numbers.
ROWS = 128


class Chunk(NamedTuple):
    """Some rows (B, Hkv, group, r, d), and the keys (B, Hkv, 1, s, d) that any of them may see."""

    rows: slice
    q: Tensor
    keys: Tensor
    values: Tensor
    own_k: Tensor | None
    own_v: Tensor | None
    mask: Tensor | None

    @property
    def seen(self) -> slice:
        return slice(0, self.keys.shape[-2])


class Wide:
    """The problem in wide types, cut into chunks."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.scale = problem, problem.scale
        self.q = self.by_group(problem.q)
        self.keys, self.values = self.by_group(problem.keys), self.by_group(problem.values)

    def by_group(self, x: Tensor) -> Tensor:
        """(B, H or Hkv, …) → (B, Hkv, group or 1, …), wide."""
        return x.unflatten(1, (self.problem.kv_heads, -1)).to(self.problem.wide)

    def take(self, x: Tensor | None, rows: slice) -> Tensor | None:
        """Some rows of (B, H or Hkv, R, …)."""
        return None if x is None else self.by_group(x[:, :, rows])

    def __iter__(self) -> Iterator[Chunk]:
        problem = self.problem
        count, keys = problem.q.shape[2], problem.keys.shape[2]
        for begin in range(0, count, ROWS):
            rows = slice(begin, min(begin + ROWS, count))
            mask, stop = self._mask(rows, keys)
            yield Chunk(
                rows,
                self.q[..., rows, :],
                self.keys[..., :stop, :],
                self.values[..., :stop, :],
                self.take(problem.own_k, rows),
                self.take(problem.own_v, rows),
                mask,
            )

    def _mask(self, rows: slice, keys: int) -> tuple[Tensor | None, int]:
        """The mask of these rows and how many keys it has; where a look costs nothing, no more
        than they need."""
        limits = self.problem.limits
        if limits is None:
            return None, keys
        index = torch.arange(rows.start, rows.stop, device=limits.after.device)
        after = limits.after[:, index % limits.after.shape[1]]
        stop = keys
        if after.device.type == "cpu":
            stop = max(1, min(keys, int(after.max()) + 1 + limits.lead))
        return limits.mask_of(after, stop)[:, None, None], stop

    def shares(self, chunk: Chunk, lse: Tensor) -> tuple[Tensor, Tensor | None]:
        """P over the shared keys, and over the own key (…, r, 1)."""
        scores = self.scores(chunk.q, chunk.keys)
        if chunk.mask is not None:
            scores = scores.masked_fill(~chunk.mask, float("-inf"))
        own = None if chunk.own_k is None else self.own_score(chunk.q, chunk.own_k).sub(lse).exp()
        return scores.sub_(lse).exp_(), own

    def scores(self, q: Tensor, keys: Tensor) -> Tensor:
        """τ Q Kᵀ."""
        return (q * self.scale) @ keys.mT

    def own_score(self, q: Tensor, own_k: Tensor) -> Tensor:
        """τ ⟨q, k⟩ per row."""
        return dot(q, own_k) * self.scale


class Gains:
    """Adjoints, filled in chunk by chunk; those of keys and values are sums over chunks."""

    def __init__(self, problem: Problem, shared: bool) -> None:
        self._q = torch.empty_like(problem.q)
        self._own_k = None if problem.own_k is None else torch.empty_like(problem.own_k)
        self._own_v = None if problem.own_v is None else torch.empty_like(problem.own_v)
        self._keys = self._values = None
        if shared:
            self._keys = torch.zeros_like(problem.keys, dtype=problem.wide)
            self._values = torch.zeros_like(problem.values, dtype=problem.wide)

    def q(self, rows: slice, value: Tensor) -> None:
        self._q[:, :, rows] = value.flatten(1, 2).to(self._q.dtype)

    def own(self, rows: slice, key: Tensor, value: Tensor) -> None:
        for whole, part in ((self._own_k, key), (self._own_v, value)):
            assert whole is not None
            whole[:, :, rows] = part.sum(2).to(whole.dtype)

    def shared(
        self,
        seen: slice,
        keys: tuple[Tensor, Tensor] | None,
        values: tuple[Tensor, Tensor] | None,
    ) -> None:
        """Add leftᵀ right of each pair, summed over the heads of a group."""
        for whole, pair in ((self._keys, keys), (self._values, values)):
            if whole is not None and pair is not None:
                whole[:, :, seen] += (pair[0].mT @ pair[1]).sum(2)

    def vectors(self) -> Vectors:
        narrow = self._q.dtype
        keys = None if self._keys is None else self._keys.to(narrow)
        values = None if self._values is None else self._values.to(narrow)
        return Vectors(self._q, keys, values, self._own_k, self._own_v)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Rows' inner products, kept as a column."""
    return (a * b).sum(-1, keepdim=True)
