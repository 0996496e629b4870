"""Descent on the vector that is read out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argmind.kernels import vocabulary
from argmind.registry import register
from argmind.spaces.base import Embedding, SpaceFlops
from argmind.spaces.text import TextSpace, VectorSpace


@register("space", "dual")
class DualSpace(VectorSpace):
    """The D-vector is the candidate and is seen too: ``P norm(s) + e(s)``; heads pair with s."""

    @dataclass(frozen=True, kw_only=True)
    class Config(TextSpace.Config):
        pass

    def __init__(self, config: Config, vocab_size: int, dim: int) -> None:
        super().__init__(config, vocab_size, dim)
        self.projection = nn.Linear(dim, dim, bias=False)
        nn.init.xavier_uniform_(self.projection.weight)

    def embed(self, point: Tensor) -> Embedding:
        """The normed, projected candidate plus the expected embedding of its read-out."""
        wide = point.to(torch.promote_types(point.dtype, torch.float32))
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)
        e = vocabulary.expected_embedding(point, self.read, self.seen)
        return Embedding(self.projection(normed.to(point.dtype)) + e, point)

    def flops(self) -> SpaceFlops:
        """Projection, 2 D²; read-out and expected embedding, 2 V D each; all differentiated."""
        one, projected = self._vocabulary, 2.0 * self.dim**2
        return SpaceFlops(embed=2 * one + projected, decode=one, entry=one + projected)
