"""Gradient descent on logits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.registry import register
from argmind.spaces.base import Embedding
from argmind.spaces.text import LogitSpace, TextSpace


@register("space", "euclidean")
class EuclideanSpace(LogitSpace):
    """The true gradient on the logits, through the softmax."""

    @dataclass(frozen=True, kw_only=True)
    class Config(TextSpace.Config):
        pass

    def embed(self, point: Tensor) -> Embedding:
        """The expected embedding of softmax(y)."""
        e = self.expected_embedding(point.softmax(-1))
        return Embedding(e, e)
