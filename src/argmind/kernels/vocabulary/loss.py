"""Cross-entropy of logits that are never kept, and its derivatives, a chunk of rows at a time.

``ℓ = lse(x) − x_target``, with logits ``x = s Wᵀ`` of vectors s (T, D), or given themselves (T, V),
W being None. With ``a = g (p − onehot)``::

    backward  g_s = a W     g_W = aᵀ s
    second, along (s', W'):   x' = s' Wᵀ + s W'ᵀ     r = Σ p x'     a' = g p (x' − r)
              g_g = r − x'_target     g_s = a' W + a W'     g_W = a'ᵀ s + aᵀ s'
"""

from __future__ import annotations

from torch import Tensor

from argmind.kernels.vocabulary import rows
from argmind.kernels.vocabulary.chunks import buffer, chunks, padded, summed, wide
from argmind.kernels.vocabulary.expected import Totals, logits, logits_tangent, prepared, rows_of
from argmind.kernels.vocabulary.operation import Flags, Inputs, Operation


def _size(s: Tensor, readout: Tensor | None) -> int:
    return s.shape[1] if readout is None else len(readout)


def _shapes(inputs: Inputs) -> list[Tensor]:
    s = inputs[0]
    assert s is not None
    return [s.new_empty(s.shape[:1], dtype=wide(s.dtype)) for _ in range(2)]


def _forward(inputs: Inputs) -> list[Tensor]:
    s, readout, target = inputs
    assert s is not None
    assert target is not None
    loss, lse = _shapes(inputs)
    size, w = _size(s, readout), prepared(readout)
    for part in chunks(len(s), padded(size), s):
        lse[part], picked = rows.score(logits(s[part], w), size, target[part])
        loss[part] = lse[part] - picked
    return [loss, lse]


def _backward(grad: Tensor, inputs: Inputs, kept: Inputs, needs: Flags) -> list[Tensor | None]:
    s, readout, target = inputs
    lse = kept[0]
    assert s is not None
    assert target is not None
    assert lse is not None
    totals = Totals.of(s, readout, needs[0], needs[1])
    size, w = _size(s, readout), prepared(readout)
    for part in chunks(len(s), padded(size), s):
        x = logits(s[part], w)
        if w is None:  # the gradient itself
            assert totals.s is not None
            rows.surprise(x, lse[part], target[part], grad[part], size, totals.s[part])
        else:
            totals.add(part, _surprise(x, lse[part], target[part], grad[part], size), s, w)
    return [totals.s, summed(totals.readout, readout), None]


def _surprise(x: Tensor, lse: Tensor, target: Tensor, grad: Tensor, size: int) -> Tensor:
    out = buffer(x, size, x.dtype)
    rows.surprise(x, lse, target, grad, size, out)
    return out


def _second(
    tangents: Inputs, grad: Tensor, inputs: Inputs, kept: Inputs, needs: Flags
) -> list[Tensor | None]:
    s_d, readout_d, _ = tangents
    s, readout, target = inputs
    lse = kept[0]
    assert s is not None
    assert target is not None
    assert lse is not None
    totals = Totals.of(s, readout, needs[1], needs[2])
    loss_d = grad.new_empty(grad.shape)
    size, w, w_d = _size(s, readout), prepared(readout), prepared(readout_d)
    for part in chunks(len(s), padded(size), s):
        x = logits(s[part], w)
        x_d = logits_tangent(s[part], w, rows_of(s_d, part), w_d, x)
        p, h, r = rows.tangent(x, size, lse[part], x_d, wide(x.dtype))
        g = grad[part][:, None]
        loss_d[part] = r - x_d.gather(1, target[part][:, None])[:, 0]
        a_d = (g * (h - r[:, None] * p)).to(x.dtype)
        a = _surprise(x, lse[part], target[part], grad[part], size)
        totals.add(part, a_d, s, w, w_d, a, s_d)
    return [
        loss_d if needs[0] else None,
        totals.s,
        summed(totals.readout, readout),
        None,
    ]


LOSS = Operation("token_loss", _forward, _backward, _second, _shapes, keep=(1,))
