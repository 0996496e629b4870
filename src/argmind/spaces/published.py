"""The published geometry of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from argmind.kernels import vocabulary
from argmind.nn.conditioning.base import Step
from argmind.registry import register
from argmind.spaces.base import Embedding
from argmind.spaces.text import LogitSpace


@register("space", "published")
class PublishedSpace(LogitSpace):
    """The paper's text geometry: the variable changes space within a step.

    ``p = softmax(y)``; the gradient is taken with respect to p; ``y ← p − δ``, read as logits by
    the next step and by the loss. Source: Energy-Based Transformers, public text code.

    The model sees of p only its expected embedding ``e = p E``, so ``∂E/∂p = ∂E/∂e Eᵀ``, and every
    rule is linear in gradients: here the point is e, a step has D numbers, and ``move`` takes it
    back to V. p is never kept. With ``first_step`` the point is what stands for p itself.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(LogitSpace.Config):
        candidate_embedding: Literal["own", "token"] = "own"
        #: Apply the softmax before every step, or before the first only.
        softmax: Literal["each_step", "first_step"] = "each_step"

    def __init__(self, config: Config, vocab_size: int, dim: int) -> None:
        super().__init__(config, vocab_size, dim)
        self.softmax_each_step = self.steps_alike = config.softmax == "each_step"

    def point(self, y: Tensor, step: Step) -> Tensor:
        """The expected embedding of the probabilities; with ``first_step``, these."""
        if self.softmax_each_step:
            return vocabulary.expected_embedding(y, None, self.seen)
        return y.softmax(-1) if step == 0 else y

    def embed(self, point: Tensor) -> Embedding:
        """The expected embedding."""
        e = point if self.softmax_each_step else point.to(self.seen.dtype) @ self.seen
        return Embedding(e, e)

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:
        """``p − δ``; of a step on e, ``p − δ Eᵀ``."""
        if not self.softmax_each_step:
            return point - delta
        return vocabulary.simplex_step(y, delta, self.seen)

    def stepped(self, y: Tensor) -> Tensor:
        """See :meth:`Space.stepped`."""
        return vocabulary.stepped(y) if self.softmax_each_step else super().stepped(y)

    def move_by_constant(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:
        """``p − δ``, where ``∂E/∂p = ∂E/∂e Eᵀ`` is a constant: so is E."""
        if not self.softmax_each_step:
            return point - delta
        return vocabulary.simplex_step(y, delta, self.seen.detach())
