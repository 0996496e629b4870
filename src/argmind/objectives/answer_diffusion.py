"""How a diffusion model of answers learns: telling them, or their noise, at drawn times."""

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
    """At drawn times, the task's loss of the answers told, over the tokens asked for.

    Of a model that tells ε or the velocity: ``mean (told − asked)²`` over all tokens.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: AnswerDiffusion) -> None:  # noqa: ARG002
        super().__init__()
        self.predictor = predictor
        self._error = self.stage(self._told_error)

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

    def _told_error(self, batch: dict[str, Tensor], source: Randomness) -> Tensor:
        model = self.predictor
        problem, target = model.task(batch)
        answer = model.answers.ideal(batch["target"]).to(model.condition)
        time, noise = model.process.draw(answer, source), normal(answer.shape, answer, source)
        said = model.say(model.process.noised(answer, noise, time), time, problem)
        if model.config.target == "clean":
            return model.loss(said, target).mean()
        return (said - model.process.target(answer, noise, time)).square().mean()

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes."""
        model = self.predictor
        return model.training_flops(*model.extent(model.task(batch)[0]))
