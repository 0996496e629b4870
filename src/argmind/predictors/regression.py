"""The plain rival for images: one pass from what is given to what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.nn.condition import LevelEmbedding
from argmind.nn.flops import linear_flops
from argmind.predictors._pictures import (
    PictureConfig,
    PicturePredictor,
    PictureReadout,
    PictureTrunk,
    asked,
)
from argmind.predictors.base import Prediction
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.budget import Budget


@register("predictor", "regression")
class Regression(PicturePredictor):
    """The given image plus a correction, from the energy model's own trunk.

    It answers in one pass whatever the budget. Having no energy, it reports the mean square of its
    correction: how much it thinks is wrong with what is given.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PictureConfig):
        tell_level: bool = False

    def __init__(
        self,
        config: Config,
        thinking: object,  # noqa: ARG002
        image_size: int,
        channels: int,
        classes: int = 0,
    ) -> None:
        super().__init__(config, channels, image_size, classes)
        # One channel more says which pixels are known.
        self.trunk = PictureTrunk(config, image_size, channels + 1)
        self.readout = PictureReadout(config, image_size, channels)
        self.level = LevelEmbedding(config.transformer.hidden_dim) if config.tell_level else None

    def answer(self, problem: Mapping[str, Tensor]) -> Tensor:
        """The whole image (B, C, H, W), with a graph; what is known of it stays as it is."""
        given = asked(problem, "given")
        known = problem.get("known")
        mask = torch.ones_like(given[:, :1]) if known is None else known.to(given)
        condition = given.new_zeros(len(given), self.settings.transformer.hidden_dim)
        condition = condition + self.told_label(problem, len(given))
        if self.level is not None:
            condition = condition + self.level(asked(problem, "level"))
        seen = torch.cat([given * mask, mask], dim=1)
        output = given + self.readout(self.trunk(seen, condition))
        return output if known is None else torch.where(known, given, output)

    @torch.no_grad()
    def predict_from(
        self,
        state: Mapping[str, Tensor],
        budget: Budget,  # noqa: ARG002
        generator: Randomness = None,  # noqa: ARG002
    ) -> Prediction:
        """One pass."""
        output = self.answer(state)
        correction = (output - state["given"]).square().flatten(1).mean(1)
        none = torch.zeros(len(output), dtype=torch.long, device=output.device)
        diverged = ~correction.isfinite()
        return Prediction(output.clamp(-1, 1), output, correction, none, none + 1, diverged)

    def pass_flops(self) -> float:
        """The trunk, the read-out and the level."""
        told = [] if self.level is None else [self.level]
        return self.trunk.flops() + self.readout.flops() + linear_flops(*told)

    def prediction_flops(self, length: int, budget: Budget) -> float:  # noqa: ARG002
        """One forward pass."""
        return self.pass_flops()
