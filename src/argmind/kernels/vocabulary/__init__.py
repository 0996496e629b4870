"""The vocabulary step: what is done with numbers per token, without keeping them.

Shapes: any leading axes, V tokens, D features. Each function chooses by size: few numbers are
cheaper to keep, and go through plain PyTorch (:mod:`reference`), many are computed a chunk at a
time and again for the derivatives. Both are differentiable twice. Under autocast matrix operands
are cast as linear layers cast theirs; statistics are float32 at least.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.kernels.vocabulary import reference, whole
from argmind.kernels.vocabulary.chunks import (
    begins_aligned,
    candidate_room,
    fits,
    lies_aligned,
    logits_fit,
    loss_fits,
    padded_weight,
    unaligned,
)
from argmind.kernels.vocabulary.expected import EXPECTED, EXPECTED_KEPT
from argmind.kernels.vocabulary.loss import LOSS
from argmind.kernels.vocabulary.noise import counted_normal
from argmind.kernels.vocabulary.simplex import SIMPLEX_STEP

__all__ = [
    "counted_normal",
    "expected_embedding",
    "logits",
    "simplex_step",
    "stepped",
    "token_loss",
]


#: From so many rows on a padded copy of the read-out costs less than the product gains by it.
_PADDED_ROWS = 128


def logits(s: Tensor, readout: Tensor) -> Tensor:
    """``s Wᵀ``: (..., D) → (..., V), over an aligned number of tokens where that is faster."""
    if unaligned(s, len(readout)) and s[..., 0].numel() >= _PADDED_ROWS:
        return F.linear(s, padded_weight(readout))[..., : len(readout)]
    return F.linear(s, readout)


def expected_embedding(s: Tensor, readout: Tensor | None, embedding: Tensor) -> Tensor:
    """``softmax(s Wᵀ) E`` (..., D): of vectors (..., D) with a read-out W, or of logits (..., V).

    Cost with N rows, in products of 2·N·V·D FLOPs: 2, backward 5, second 8 (less what is not
    needed, and one where logits are kept); logits: 1, 2, 4.
    """
    count = s[..., 0].numel()
    if fits(count, len(embedding)):
        if readout is not None and unaligned(s, len(embedding)):
            return whole.expected_embedding(s, readout, embedding)
        return reference.expected_embedding(s, readout, embedding)
    s, readout, embedding = _operands(s, readout, embedding)
    keeps = readout is not None and logits_fit(count, len(embedding), s)
    e = _expected(_flat(s), readout, embedding, keeps)
    return e.to(embedding.dtype).view(*s.shape[:-1], embedding.shape[1])


def token_loss(s: Tensor, readout: Tensor | None, target: Tensor) -> Tensor:
    """Cross-entropy in nats (...): of vectors (..., D) with a read-out, or of logits (..., V).

    Targets are tokens: anything else is an error, or no number.
    Cost, in products of 2·N·V·D FLOPs: 1, backward 3, second 6; of logits none.
    """
    vocabulary = s.shape[-1] if readout is None else len(readout)
    count = target.numel()
    # Of aligned rows compilers make slower kernels than ours.
    aligned = readout is None and begins_aligned(s) and lies_aligned(_flat(s))
    if fits(count, vocabulary) or (loss_fits(count, vocabulary, s.device) and not aligned):
        if readout is not None and unaligned(s, vocabulary):
            return whole.token_loss(s, readout, target)
        return reference.token_loss(s, readout, target)
    if readout is not None:
        s, readout, _ = _operands(s, readout, readout)
    return _loss(_flat(s), readout, target.flatten()).view(target.shape)


def simplex_step(y: Tensor, delta: Tensor, embedding: Tensor) -> Tensor:
    """``softmax(y) − δ Eᵀ`` (..., V) as y's type: a step δ (..., D) on the expected embedding.

    Cost, in products of 2·N·V·D FLOPs: 1, backward 2.
    """
    if fits(y[..., 0].numel(), len(embedding)):
        return reference.simplex_step(y, delta, embedding)
    delta, _, embedding = _operands(delta, embedding, embedding)
    return _step(_flat(y), _flat(delta), embedding).view(y.shape)


def stepped(y: Tensor) -> Tensor:
    """Candidates (..., V) in the layout in which :func:`simplex_step` gives them."""
    rows, size = y.shape[:-1], y.shape[-1]
    if fits(rows.numel(), size) or not begins_aligned(y):
        return y.contiguous()
    return y if lies_aligned(_flat(y)) else candidate_room(y, rows, size, y.dtype).copy_(y)


@torch.compiler.allow_in_graph
def _expected(s: Tensor, readout: Tensor | None, embedding: Tensor, keeps: bool) -> Tensor:
    return (EXPECTED_KEPT if keeps else EXPECTED)(s, readout, embedding)


@torch.compiler.allow_in_graph
def _loss(s: Tensor, readout: Tensor | None, target: Tensor) -> Tensor:
    return LOSS(s, readout, target)


@torch.compiler.allow_in_graph
def _step(y: Tensor, delta: Tensor, embedding: Tensor) -> Tensor:
    return SIMPLEX_STEP(y, delta, embedding)


def _flat(x: Tensor) -> Tensor:
    """Rows (T, …) whose features lie side by side."""
    flat = x.reshape(-1, x.shape[-1])
    return flat if flat.stride(-1) == 1 else flat.contiguous()


def _operands(
    s: Tensor, readout: Tensor | None, embedding: Tensor
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Matrix operands in one type, autocast's where it is on; logits keep theirs."""
    kind = s.device.type
    if torch.is_autocast_enabled(kind) and embedding.dtype != torch.float64:
        embedding = embedding.to(torch.get_autocast_dtype(kind))
    if readout is None:
        return s, None, embedding
    return s.to(embedding.dtype), readout.to(embedding.dtype), embedding
