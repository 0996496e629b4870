"""The paper's step token."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Step, StepEmbedding
from argmind.registry import register


@register("conditioning", "time_embed")
class TimeEmbedding(StepEmbedding):
    """The step's embedding is a leading token of the context, at position 0.

    Source: Energy-Based Transformers, public text code (``time_embed``).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int, num_layers: int, landscapes: int) -> None:  # noqa: ARG002
        super().__init__(dim, landscapes)

    def prefix(self, step: Step) -> Tensor:
        """The leading row (dim,)."""
        return self.embedding(step)
