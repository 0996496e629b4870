"""Plain next-element cross-entropy: how Transformer++ learns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.kernels import vocabulary
from argmind.objectives.base import Loss, Objective
from argmind.predictors.transformer_pp import TransformerPP
from argmind.randomness import Randomness
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
        self._value = self.stage(self._mean_loss)

    @property
    def repeats(self) -> bool:
        """Always the same work."""
        return True

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Mean loss of one batch."""
        context, target = self.predictor.task(batch)
        value = self._value(context, target, source=generator)
        return Loss(value, {"nats": value.detach()}, target.numel())

    def _mean_loss(self, context: Tensor, target: Tensor, source: Randomness) -> Tensor:  # noqa: ARG002
        hidden = self.predictor.hidden(self.predictor.encode(context))
        return vocabulary.token_loss(hidden, self.predictor.readout.weight, target).mean()

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """See :meth:`TransformerPP.training_flops`."""
        return self.predictor.training_flops(*self.predictor.task(batch)[0].shape)
