"""The plain rival for video: Transformer++ that reads what comes next off its output."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.nn.context import ContextState
from argmind.nn.frames import FrameReadout
from argmind.predictors._frames import FrameConfig, FramePredictor
from argmind.predictors.base import Prediction
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.budget import Budget


@register("predictor", "frame_regression")
class FrameRegression(FramePredictor):
    """The mean of what may come next, in one pass.

    Having no energy, it reports the mean square of the change that it foretells.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(FrameConfig):
        pass

    def __init__(
        self,
        config: Config,
        thinking: object,  # noqa: ARG002
        image_size: int,
        channels: int,
        frames: int,  # noqa: ARG002
        actions: int = 0,
    ) -> None:
        super().__init__(config, image_size, channels, actions)
        dim = config.transformer.hidden_dim
        self.readout = FrameReadout(image_size, channels, config.patch, dim)

    def answer(self, state: ContextState) -> Tensor:
        """Changes (B, P, C, H, W), with a graph."""
        return self.readout(self.hidden(state))

    @torch.no_grad()
    def predict_from(
        self,
        state: ContextState,
        budget: Budget,  # noqa: ARG002
        generator: Randomness = None,  # noqa: ARG002
    ) -> Prediction:
        """One pass."""
        change = self.answer(state)
        size = change.square().flatten(2).mean(2)
        none = torch.zeros(size.shape, dtype=torch.long, device=size.device)
        return Prediction(change.clamp(-2, 2), change, size, none, none + 1, ~size.isfinite())

    def frame_flops(self) -> float:
        """The read-out."""
        return self.readout.flops()

    def prediction_flops(self, length: int, budget: Budget) -> float:  # noqa: ARG002
        """One pass."""
        return self.stream_flops(length) + length * self.frame_flops()
