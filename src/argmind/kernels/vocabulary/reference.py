"""The vocabulary step in plain PyTorch: what every other form must equal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def _logits(s: Tensor, readout: Tensor | None) -> Tensor:
    return s if readout is None else F.linear(s, readout)


def _softmax(x: Tensor, embedding: Tensor) -> Tensor:
    """In the wider of the two types: logits may be kept in a narrow one."""
    return x.softmax(-1, dtype=torch.promote_types(x.dtype, embedding.dtype))


def expected_embedding(s: Tensor, readout: Tensor | None, embedding: Tensor) -> Tensor:
    """``softmax(x) E``."""
    return _softmax(_logits(s, readout), embedding) @ embedding


def token_loss(s: Tensor, readout: Tensor | None, target: Tensor) -> Tensor:
    """``lse(x) − x_target``, in float32 at least."""
    x = _logits(s, readout)
    at_least = x.to(torch.promote_types(x.dtype, torch.float32))
    flat = F.cross_entropy(at_least.flatten(0, -2), target.flatten(), reduction="none")
    return flat.view(target.shape)


def simplex_step(y: Tensor, delta: Tensor, embedding: Tensor) -> Tensor:
    """``softmax(y) − δ Eᵀ``."""
    return (_softmax(y, embedding) - F.linear(delta, embedding)).to(y.dtype)
