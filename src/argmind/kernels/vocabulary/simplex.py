"""A step off the simplex, ``z = softmax(y) − δ Eᵀ``, and its derivatives, a chunk at a time.

The probabilities y (T, V) turn into live for one chunk, and so does what a derivative needs of
them; δ (T, D) is a step as embeddings see it, E (V, D). With ``c = Σ p g``::

    backward  g_y = p (g − c)     g_δ = −g E     g_E = −gᵀ δ
    second, along (y', δ', E'):   r = Σ p y'     p' = p (y' − r)     c' = Σ p' g
              g_g = p' − δ' Eᵀ − δ E'ᵀ   g_y = p' (g − c) − p c'   g_δ = −g E'   g_E = −gᵀ δ'
"""

from __future__ import annotations

import torch
from torch import Tensor

from argmind.kernels.vocabulary import rows
from argmind.kernels.vocabulary.chunks import (
    add_outer,
    aligned_parts,
    buffer,
    candidate_room,
    chunks,
    into_vocabulary,
    lies_aligned,
    padded,
    padded_weight,
    product,
    room_like,
    summed,
    total_like,
    wide,
)
from argmind.kernels.vocabulary.operation import Flags, Inputs, Operation


def _given(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    y, delta, embedding = inputs
    assert y is not None
    assert delta is not None
    assert embedding is not None
    return y, delta, embedding


def _operand(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows (M, V) for matrix products: as they are where they begin aligned, else padded."""
    if lies_aligned(x) and x.dtype == dtype:
        return x
    out = buffer(x, x.shape[1], dtype)
    out[:, : x.shape[1]] = x
    out[:, x.shape[1] :] = 0
    return out


def _from_vocabulary(g: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """``g W``, (M, D)."""
    first, *rest = (product(g[:, part], weight[part], dtype) for part in aligned_parts(g))
    return first + rest[0] if rest else first


def _subtract_outer(total: Tensor, g: Tensor, delta: Tensor) -> None:
    """``total −= gᵀ δ``."""
    for part in aligned_parts(g):
        add_outer(total[part], g[:, part], delta.to(g.dtype), sign=-1)


def _shapes(inputs: Inputs) -> list[Tensor]:
    y = _given(inputs)[0]
    return [candidate_room(y, y.shape[:1], y.shape[1], y.dtype)]


def _forward(inputs: Inputs) -> list[Tensor]:
    y, delta, embedding = _given(inputs)
    moved = _shapes(inputs)[0]
    weight = padded_weight(embedding)
    for part in chunks(len(y), padded(y.shape[1]), y):
        rows.descend(y[part], into_vocabulary(delta[part], weight), moved[part])
    return [moved]


def _backward(grad: Tensor, inputs: Inputs, kept: Inputs, needs: Flags) -> list[Tensor | None]:  # noqa: ARG001
    y, delta, embedding = _given(inputs)
    grad_y = room_like(y) if needs[0] else None
    grad_delta = delta.new_empty(delta.shape) if needs[1] else None
    total, weight = total_like(embedding) if needs[2] else None, padded_weight(embedding)
    for part in chunks(len(y), padded(y.shape[1]), y):
        if grad_y is not None:
            rows.softmax_adjoint(y[part], grad[part], grad_y[part])
        g = _operand(grad[part], embedding.dtype) if needs[1] or needs[2] else None
        if grad_delta is not None and g is not None:
            grad_delta[part] = _from_vocabulary(g, weight, grad_delta.dtype).neg_()
        if total is not None and g is not None:
            _subtract_outer(total, g, delta[part])
    return [grad_y, grad_delta, summed(total, embedding)]


def _second(
    tangents: Inputs,
    grad: Tensor,
    inputs: Inputs,
    kept: Inputs,  # noqa: ARG001
    needs: Flags,
) -> list[Tensor | None]:
    y_d, delta_d, embedding_d = tangents
    y, delta, embedding = _given(inputs)
    z_d, grad_y = room_like(grad).zero_(), room_like(y).zero_()
    grad_delta, total = delta.new_zeros(delta.shape), total_like(embedding)
    for part in chunks(len(y), padded(y.shape[1]), y):
        g, d = _operand(grad[part], embedding.dtype), delta[part].to(embedding.dtype)
        if y_d is not None:
            moved, grad_y[part] = _second_of_softmax(y[part], y_d[part], grad[part])
            z_d[part] += moved
        if delta_d is not None:
            z_d[part] -= into_vocabulary(delta_d[part], embedding)
            _subtract_outer(total, g, delta_d[part])
        if embedding_d is not None:
            z_d[part] -= into_vocabulary(d, embedding_d)
            seen_d = padded_weight(embedding_d)
            grad_delta[part] = _from_vocabulary(g, seen_d, delta.dtype).neg_()
    found = [z_d, grad_y, grad_delta, summed(total, embedding)]
    return [x if need else None for x, need in zip(found, needs, strict=True)]


def _second_of_softmax(y: Tensor, y_d: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """``p'`` and ``p' (g − c) − p c'``."""
    p = y.to(wide(y.dtype)).softmax(-1)
    p_d = p * (y_d - (p * y_d).sum(-1, keepdim=True))
    mean, mean_d = ((x * grad).sum(-1, keepdim=True) for x in (p, p_d))
    return p_d, p_d * (grad - mean) - p * mean_d


SIMPLEX_STEP = Operation("simplex_step", _forward, _backward, _second, _shapes, keep=())
