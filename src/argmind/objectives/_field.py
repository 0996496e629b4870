"""Learning the slope of an energy directly, without thinking: a field that leads to the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.errors import UserError
from argmind.objectives.base import Loss, Objective
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape


class Lesson(NamedTuple):
    """A place, where a step of size 1 should lead from there, and the unit of that move's error."""

    place: Tensor
    move: Tensor  # to subtract
    unit: Tensor


class FieldObjective(Objective[EBT]):
    """``mean ((y − step(y)) − move)² / unit²`` at drawn places y, for spaces of continuous answers.

    The step is the library's own with size 1, so what is learnt is sampled by any rule and
    schedule. It is learnt at the first landscape.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: Weight of asking that clean data have less energy than what thinking makes.
        contrast_weight: float = 0.0

        def __post_init__(self) -> None:
            if self.contrast_weight < 0:
                raise ValueError(f"contrast_weight may not be negative, got {self.contrast_weight}")

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__()
        if not predictor.space.continuous:
            raise UserError(
                f"{config.part_name} teaches the slope between noise and answers, so it needs "
                f"continuous answers; {type(predictor.space).__name__} has none. Use thinking."
            )
        self.contrast_weight, self.predictor = config.contrast_weight, predictor
        self._learn = self.stage(self._learnt)
        self._compare = self.stage(self._contrast)

    def lesson(self, clean: Tensor, predictions: torch.Size, source: Randomness) -> Lesson:
        """What to learn near clean answers (B, 1, *P, *F); ``predictions`` = (B, 1, *P)."""
        raise NotImplementedError

    @property
    def metric(self) -> str:
        """Of the move."""
        return "field_error"

    @property
    def repeats(self) -> bool:
        """Every step is the same work."""
        return not self.contrast_weight

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of one batch."""
        value = error = self._learn(batch, source=generator)
        metrics = {self.metric: error.detach()}
        if self.contrast_weight:
            contrast = self._compare(batch, self._made(batch, generator), source=generator)
            value = value + self.contrast_weight * contrast
            metrics["contrast"] = contrast.detach()
        return Loss(value, metrics, len(next(iter(batch.values()))))

    def _learnt(self, batch: dict[str, Tensor], source: Randomness) -> Tensor:
        landscape, clean, learnt = self._opened(batch)
        lesson = self.lesson(clean, learnt.shape, source)
        place = landscape.hold(lesson.place)
        slope = landscape.slope(place, 0, graph=torch.is_grad_enabled())
        moved = place - landscape.move(place, slope.point, slope.gradient)
        asked = place - landscape.hold(lesson.place - lesson.move)
        error = ((moved - asked) / lesson.unit).square().flatten(learnt.ndim).mean(-1)
        return (error * learnt).sum() / learnt.sum().clamp(min=1)

    def _opened(self, batch: dict[str, Tensor]) -> tuple[Landscape, Tensor, Tensor]:
        """The landscape, the clean answers as candidates, and which of them are learnt."""
        model = self.predictor
        problem, target = model.task(batch)
        clean = model.space.ideal(target)[:, None]
        return model.landscape(problem), clean, model.space.counts(target)[:, None]

    def _made(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """What thinking makes of the same problems, as a constant."""
        problem, _ = self.predictor.task(batch)
        return self.predictor.predict(problem, Budget(noisy=True), generator).candidate[:, None]

    def _contrast(self, batch: dict[str, Tensor], made: Tensor, source: Randomness) -> Tensor:  # noqa: ARG002
        """``softplus(E(clean) − E(made))``."""
        landscape, clean, learnt = self._opened(batch)
        model = self.predictor
        model.body.ready(landscape.state, 0)
        both = torch.cat([clean, made], dim=1)
        embedding = model.space.embed(model.space.point(both, 0))
        right, wrong = model.body.energy(landscape.state, embedding, 0).split(1, dim=1)
        return (F.softplus(right - wrong) * learnt).sum() / learnt.sum().clamp(min=1)

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """One trained step; with contrast, two trained energies and a thought as well."""
        count, length = self.predictor.extent(self.predictor.task(batch)[0])
        taught = self.predictor.training_flops(count, length, 1, "none", 1)
        if not self.contrast_weight:
            return taught
        scored = self.predictor.body.energy_flops(length)
        scored += length * self.predictor.space.flops().embed
        thought = self.predictor.prediction_flops(length, Budget())
        return taught + count * (3 * 2 * scored + thought)


def spread(x: Tensor, like: Tensor) -> Tensor:
    """One number a prediction (B, N, *P) against the features of ``like``."""
    return x.reshape(x.shape + (1,) * (like.ndim - x.ndim))
