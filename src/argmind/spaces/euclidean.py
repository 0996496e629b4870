"""Gradient descent on logits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.kernels import vocabulary
from argmind.registry import register
from argmind.spaces.base import Embedding
from argmind.spaces.text import LogitSpace


@register("space", "euclidean")
class EuclideanSpace(LogitSpace):
    """The true gradient on the logits, through the softmax."""

    @dataclass(frozen=True, kw_only=True)
    class Config(LogitSpace.Config):
        pass

    def embed(self, point: Tensor) -> Embedding:
        """The expected embedding of softmax(y)."""
        e = vocabulary.expected_embedding(point, None, self.seen)
        return Embedding(e, e)
