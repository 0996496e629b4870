"""The published geometry of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from argmind.registry import register
from argmind.spaces.base import Embedding
from argmind.spaces.text import LogitSpace, TextSpace


@register("space", "published")
class PublishedSpace(LogitSpace):
    """The paper's text geometry: the variable changes space within a step.

    ``p = softmax(y)``; the gradient is taken with respect to p; ``y ← p − δ``, read as logits by
    the next step and by the loss. Source: Energy-Based Transformers, public text code.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(TextSpace.Config):
        candidate_embedding: Literal["own", "token"] = "own"
        #: Apply the softmax before every step, or before the first only.
        softmax: Literal["each_step", "first_step"] = "each_step"

    def __init__(self, config: Config, vocab_size: int, dim: int) -> None:
        super().__init__(config, vocab_size, dim)
        self.softmax_each_step = config.softmax == "each_step"

    def point(self, y: Tensor, step: int) -> Tensor:
        """The probabilities."""
        return y.softmax(-1) if self.softmax_each_step or step == 0 else y

    def embed(self, point: Tensor) -> Embedding:
        """The expected embedding."""
        e = self.expected_embedding(point)
        return Embedding(e, e)

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """``p − δ``."""
        return point - delta
