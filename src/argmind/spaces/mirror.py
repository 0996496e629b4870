"""Mirror descent on the simplex."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.kernels import vocabulary
from argmind.nn.conditioning.base import Step
from argmind.registry import register
from argmind.spaces.base import Embedding, SpaceFlops
from argmind.spaces.text import TextSpace, VectorSpace


@register("space", "mirror")
class MirrorSpace(VectorSpace):
    """Mirror descent with the read-out as mirror map: a dual vector moves, the model sees e.

    ``e = Σ_v softmax(W s)_v E_v``; ``s ← s − δ`` with the gradient taken with respect to e.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(TextSpace.Config):
        pass

    def flops(self) -> SpaceFlops:
        """Read-out and expected embedding, 2 V D each, before the point."""
        one = self._vocabulary
        return SpaceFlops(point=2 * one, decode=one, entry=one)

    def point(self, y: Tensor, step: Step) -> Tensor:  # noqa: ARG002
        """The expected embedding e."""
        return vocabulary.expected_embedding(y, self.read, self.seen)

    def embed(self, point: Tensor) -> Embedding:
        """The point itself."""
        return Embedding(point, point)
