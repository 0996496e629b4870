"""Step conditioning of the candidate stream alone, so that all steps share the context."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Conditioning, Step
from argmind.registry import register


@register("conditioning", "candidate")
class CandidateConditioning(Conditioning):
    """A learned step embedding added to the candidate stream only (starts at zero)."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int, num_layers: int, landscapes: int) -> None:  # noqa: ARG002
        super().__init__(landscapes)
        self.steps = nn.Embedding(landscapes, dim)
        nn.init.zeros_(self.steps.weight)

    def shift_candidate(self, x: Tensor, step: Step) -> Tensor:
        """Add the step's embedding to every candidate row."""
        return x + self.of_step(self.steps.weight, step)
