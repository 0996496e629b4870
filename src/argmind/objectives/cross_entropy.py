"""Plain next-element cross-entropy: how Transformer++ learns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives.base import Loss, Objective
from argmind.predictors.transformer_pp import TransformerPP
from argmind.registry import register


@register("objective", "cross_entropy")
class CrossEntropy(Objective[TransformerPP]):
    """``−log p(target)``, mean over all predictions."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: TransformerPP) -> None:  # noqa: ARG002
        super().__init__()
        self.predictor = predictor

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:  # noqa: ARG002
        """Mean loss of one batch."""
        context, target = self.predictor.task(batch)
        logits = self.predictor.logits(self.predictor.encode(context))
        value = self.predictor.loss(logits, target).mean()
        return Loss(value, {"nats": value.detach()}, target.numel())

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """See :meth:`TransformerPP.training_flops`."""
        return self.predictor.training_flops(*self.predictor.task(batch)[0].shape)
