"""The expected embedding ``e = softmax(x) E`` and its derivatives, a chunk of rows at a time.

``x = s Wᵀ`` are the logits of vectors s (T, D) by a read-out W (V, D), or given themselves (T, V),
W being None. Of forward's work only e and the log-sum-exp are kept, and by ``EXPECTED_KEPT`` x too;
the rest lives for one chunk and is computed again by each derivative. This is attention over the
vocabulary, and its formulas are those of attention. With ``p = softmax(x)``, ``c = Σ p dp``, which
is ``⟨g, e⟩``::

    backward  dp = g Eᵀ     ds = p (dp − c)     g_s = ds W     g_W = dsᵀ s     g_E = pᵀ g
    second, along (s', W', E'):
              x' = s' Wᵀ + s W'ᵀ     h = p x'     r = Σ h     e' = h E + p E' − r e
              dp' = g E'ᵀ     c' = ⟨g, e'⟩     p' = p (x' − r)     ds' = p' (dp − c) + p (dp' − c')
              g_g = e'   g_s = ds' W + ds W'   g_W = ds'ᵀ s + dsᵀ s'   g_E = p'ᵀ g
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from argmind.kernels.vocabulary import rows
from argmind.kernels.vocabulary.chunks import (
    add_outer,
    buffer,
    chunks,
    into_vocabulary,
    padded,
    padded_weight,
    product,
    room_like,
    summed,
    total_like,
    wide,
)
from argmind.kernels.vocabulary.operation import Flags, Inputs, Operation


def prepared(weight: Tensor | None) -> Tensor | None:
    """A read-out for the functions below."""
    return None if weight is None else padded_weight(weight)


def logits(s: Tensor, readout: Tensor | None) -> Tensor:
    """Logits of some rows; those that are given stay as they are."""
    return s if readout is None else into_vocabulary(s, readout)


def logits_tangent(
    s: Tensor, readout: Tensor | None, s_d: Tensor | None, readout_d: Tensor | None, like: Tensor
) -> Tensor:
    """Tangent of the logits of some rows along those of vectors and read-out."""
    if readout is None:
        return like.new_zeros(like.shape) if s_d is None else s_d
    if readout_d is None:
        return like.new_zeros(like.shape) if s_d is None else into_vocabulary(s_d, readout)
    by_readout = into_vocabulary(s, readout_d)
    return by_readout if s_d is None else by_readout.add_(into_vocabulary(s_d, readout))


def rows_of(x: Tensor | None, chosen: slice) -> Tensor | None:
    """Some rows, of what is there."""
    return None if x is None else x[chosen]


class Totals(NamedTuple):
    """Gradients being gathered; those of weights in float32 at least."""

    s: Tensor | None
    readout: Tensor | None

    @classmethod
    def of(cls, s: Tensor, readout: Tensor | None, need_s: bool, need_readout: bool) -> Totals:
        """Room for the gradients that are needed."""
        weight = total_like(readout) if readout is not None and need_readout else None
        return cls(room_like(s) if need_s else None, weight)

    def add(
        self,
        chosen: slice,
        adjoint: Tensor,
        s: Tensor,
        readout: Tensor | None,
        readout_d: Tensor | None = None,
        first: Tensor | None = None,
        s_d: Tensor | None = None,
    ) -> None:
        """What the adjoint of some rows of logits gives to the vectors and to the read-out.

        And what the ``first``-order adjoint gives along ``readout_d`` and ``s_d``.
        """
        if self.s is not None:
            size = self.s.shape[1]
            mine = adjoint[:, :size] if readout is None else product(adjoint, readout, self.s.dtype)
            if first is not None and readout_d is not None:
                mine = mine + product(first, readout_d, self.s.dtype)
            self.s[chosen] = mine
        if self.readout is not None:
            add_outer(self.readout, adjoint, s[chosen].to(adjoint.dtype))
            if first is not None and s_d is not None:
                add_outer(self.readout, first, s_d[chosen].to(first.dtype))


def _forward(inputs: Inputs, keeps: bool) -> list[Tensor]:
    s, readout, embedding = inputs
    assert s is not None
    assert embedding is not None
    e, lse, *kept = found = _shapes(inputs, keeps)
    size, w, w_e = len(embedding), prepared(readout), padded_weight(embedding)
    for part in chunks(len(s), padded(size), s):
        if kept and w is not None:
            x = torch.mm(s[part], w.T, out=kept[0][part])
        else:
            x = logits(s[part], w)
        p, lse[part] = rows.softmax(x, size, embedding.dtype)
        e[part] = product(p, w_e, e.dtype)
    return found


def _shapes(inputs: Inputs, keeps: bool) -> list[Tensor]:
    s, _, embedding = inputs
    assert s is not None
    assert embedding is not None
    statistics = wide(embedding.dtype)
    return [
        s.new_empty((s.shape[0], embedding.shape[1]), dtype=statistics),
        s.new_empty(s.shape[:1], dtype=statistics),
        *([buffer(s, len(embedding), s.dtype)] if keeps else []),
    ]


def _again(s: Tensor, readout: Tensor | None, part: slice, kept: Inputs) -> Tensor:
    """Logits of some rows: those that were kept, or computed again."""
    whole = kept[2] if len(kept) > 2 else None
    return logits(s[part], readout) if whole is None else whole[part]


def _backward(grad: Tensor, inputs: Inputs, kept: Inputs, needs: Flags) -> list[Tensor | None]:
    s, readout, embedding = inputs
    e, lse = kept[:2]
    assert s is not None
    assert embedding is not None
    assert e is not None
    assert lse is not None
    totals = Totals.of(s, readout, needs[0], needs[1])
    grad_embedding = total_like(embedding) if needs[2] else None
    mean, g = (grad * e).sum(-1), grad.to(embedding.dtype)
    size, w, w_e = len(embedding), prepared(readout), padded_weight(embedding)
    for part in chunks(len(s), padded(size), s):
        x = _again(s, w, part, kept)
        if needs[0] or needs[1]:
            dp = into_vocabulary(g[part], w_e)
            p, ds = rows.adjoint(x, size, lse[part], dp, mean[part], needs[2])
            totals.add(part, ds, s, w)
        else:
            p, _ = rows.softmax(x, size, g.dtype)
        if grad_embedding is not None and p is not None:
            add_outer(grad_embedding, p, g[part])
    return [totals.s, summed(totals.readout, readout), summed(grad_embedding, embedding)]


def _second(
    tangents: Inputs, grad: Tensor, inputs: Inputs, kept: Inputs, needs: Flags
) -> list[Tensor | None]:
    s_d, readout_d, embedding_d = tangents
    s, readout, embedding = inputs
    e, lse = kept[:2]
    assert s is not None
    assert embedding is not None
    assert e is not None
    assert lse is not None
    totals = Totals.of(s, readout, needs[1], needs[2])
    grad_embedding = total_like(embedding) if needs[3] else None
    e_d = grad.new_empty(grad.shape)
    mean, g = (grad * e).sum(-1), grad.to(embedding.dtype)
    size, w, w_e = len(embedding), prepared(readout), padded_weight(embedding)
    w_d, w_e_d = prepared(readout_d), prepared(embedding_d)
    for part in chunks(len(s), padded(size), s):
        x = _again(s, w, part, kept)
        x_d = logits_tangent(s[part], w, rows_of(s_d, part), w_d, x)
        p, h, r = rows.tangent(x, size, lse[part], x_d, embedding.dtype)
        moved = product(h, w_e, e_d.dtype) - r[:, None] * e[part]
        dp_d = None
        if w_e_d is not None:
            moved += product(p, w_e_d, e_d.dtype)
            dp_d = into_vocabulary(g[part], w_e_d)
        e_d[part] = moved
        if not any(needs[1:]):
            continue
        dp = into_vocabulary(g[part], w_e)
        means = (r, mean[part], (grad[part] * moved).sum(-1))
        p_d, ds_d, ds = rows.second(p, size, x_d, dp, dp_d, means)
        totals.add(part, ds_d, s, w, w_d, ds, s_d)
        if grad_embedding is not None:
            add_outer(grad_embedding, p_d, g[part])
    return [
        e_d if needs[0] else None,
        totals.s,
        summed(totals.readout, readout),
        summed(grad_embedding, embedding),
    ]


def _operation(name: str, keeps: bool) -> Operation:
    forward, shapes = partial(_forward, keeps=keeps), partial(_shapes, keeps=keeps)
    kept = (0, 1, 2) if keeps else (0, 1)
    return Operation(name, forward, _backward, _second, shapes, kept)


EXPECTED = _operation("expected_embedding", keeps=False)
#: Keeps the logits of vectors: two bytes a number in bf16, for a product less in each derivative.
EXPECTED_KEPT = _operation("expected_embedding_kept", keeps=True)
