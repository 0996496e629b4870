"""Behaviour cloning: the plain rival of policies that think."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.energy.policy import PolicyState
from argmind.nn.flops import TRAINED
from argmind.predictors._chunks import ChunkPolicy, ChunkPolicyConfig
from argmind.predictors.base import Prediction
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.budget import Budget


@register("predictor", "policy_regression")
class PolicyRegression(ChunkPolicy):
    """The mean of what was demonstrated: Diffusion Policy's transformer, asked once.

    A learned row stands for every action of the chunk. It answers in one pass and with one
    candidate, whatever the budget; it has no energy, and says 0.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(ChunkPolicyConfig):
        pass

    def __init__(
        self,
        config: Config,
        thinking: object,  # noqa: ARG002
        action_size: int,
        chunk: int,
        frames: int,
        observations: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__(config, action_size, chunk, frames, observations, told=0)

    def answer(self, state: PolicyState) -> Tensor:
        """The chunk (B, L, A), with a graph."""
        count = state.seen[0].keys.shape[0]
        nothing = self.places().new_zeros(count, 1, *self.places().shape)
        return self.acted(nothing, state.seen)[:, 0]

    @torch.no_grad()
    def predict_from(
        self,
        state: PolicyState,
        budget: Budget,  # noqa: ARG002
        generator: Randomness = None,  # noqa: ARG002
    ) -> Prediction:
        """One pass."""
        output = self.answer(state)
        none = torch.zeros(len(output), dtype=torch.long, device=output.device)
        diverged = ~output.isfinite().flatten(1).all(1)
        return Prediction(output, output, output.new_zeros(len(output)), none, none + 1, diverged)

    def training_flops(self, sequences: int, length: int) -> float:  # noqa: ARG002
        """Three forward passes."""
        return TRAINED * sequences * (self.encode_flops() + self.acted_flops())

    def prediction_flops(self, length: int, budget: Budget) -> float:  # noqa: ARG002
        """One forward pass."""
        return self.encode_flops() + self.acted_flops()
