"""How a diffusion model of answers learns: telling their noise at drawn times."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives.base import Loss
from argmind.objectives.supervised import AnswerObjective
from argmind.predictors.answer_diffusion import AnswerDiffusion
from argmind.randomness import Randomness, normal
from argmind.registry import register


@register("objective", "answer_diffusion")
class AnswerDiffusionObjective(AnswerObjective[AnswerDiffusion]):
    """``mean (told − asked)²`` over all tokens, asked being ε or the velocity, at drawn times."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: AnswerDiffusion) -> None:  # noqa: ARG002
        super().__init__()
        self.predictor = predictor
        self._error = self.stage(self._squared_error)

    @property
    def repeats(self) -> bool:
        """Every step is the same work."""
        return True

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Mean loss of one batch."""
        value = self._error(batch, source=generator)
        return Loss(
            value, {f"{self.predictor.config.target}_error": value.detach()}, len(batch["known"])
        )

    def _squared_error(self, batch: dict[str, Tensor], source: Randomness) -> Tensor:
        model = self.predictor
        problem, _ = model.task(batch)
        answer = model.answers.ideal(batch["target"]).to(model.condition)
        time, noise = model.process.draw(answer, source), normal(answer.shape, answer, source)
        told = model.tell(model.process.noised(answer, noise, time), time, problem)
        return (told - model.process.target(answer, noise, time)).square().mean()

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes."""
        model = self.predictor
        return model.training_flops(*model.extent(model.task(batch)[0]))
