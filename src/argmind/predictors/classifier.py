"""A supervised classifier of images: the ceiling of what a linear probe can find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argmind.errors import UserError
from argmind.nn.flops import linear_flops
from argmind.predictors._pictures import PictureConfig, PicturePredictor, PictureTrunk, asked
from argmind.predictors.base import Prediction
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.spaces.base import token_loss
from argmind.thinking.budget import Budget


@register("predictor", "classifier")
class Classifier(PicturePredictor):
    """Class logits from the mean of the trunk's output rows; reports their entropy as energy."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PictureConfig):
        pass

    def __init__(
        self,
        config: Config,
        thinking: object,  # noqa: ARG002
        image_size: int,
        channels: int,
        classes: int = 0,
    ) -> None:
        if not classes:
            raise UserError("a classifier needs data with classes.")
        if config.tell_label:
            raise UserError("a classifier that is told the label learns nothing.")
        super().__init__(config, channels, image_size, classes)
        self.metric = "nats"
        self.trunk = PictureTrunk(config, image_size, channels)
        self.readout = nn.Linear(config.transformer.hidden_dim, classes)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The clean image, and its class."""
        return {"given": batch["clean"]}, batch["label"]

    def answer(self, problem: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes), with a graph."""
        given = asked(problem, "given")
        nothing = given.new_zeros(len(given), self.settings.transformer.hidden_dim)
        return self.readout(self.trunk(given, nothing).mean(1))

    @torch.no_grad()
    def predict_from(
        self,
        state: Mapping[str, Tensor],
        budget: Budget,  # noqa: ARG002
        generator: Randomness = None,  # noqa: ARG002
    ) -> Prediction:
        """One pass."""
        logits = self.answer(state)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        entropy = -(wide.exp() * wide).sum(-1)
        none = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        return Prediction(logits, logits, entropy, none, none + 1, ~entropy.isfinite())

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy in nats."""
        return token_loss(output, target)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """1 where the likeliest class is the right one."""
        return {"accuracy": (output.argmax(-1) == target).to(output.dtype)}

    def pass_flops(self) -> float:
        """The trunk and the read-out."""
        return self.trunk.flops() + linear_flops(self.readout)

    def prediction_flops(self, length: int, budget: Budget) -> float:  # noqa: ARG002
        """One forward pass."""
        return self.pass_flops()
