"""Annealed landscapes: the slope of each is its noise, and right answers lie lower than wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.objectives.base import Loss, Objective
from argmind.predictors.annealed import Annealed
from argmind.randomness import Randomness, normal, uniform
from argmind.registry import register
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape


@register("objective", "ired")
class Ired(Objective[Annealed]):
    """``mean (∇E_k − ε)² + w · softplus(E_k(y⁺) − E_k(y⁻))`` at a level k drawn for the batch.

    y⁺ is the noised answer, y⁻ a corrupted one with the same noise: of symbols a share is replaced
    by random others (at least one), numbers get three times the noise more. Energies are summed
    over tokens here. Source: IRED (see :class:`Annealed`), with w = 0.5, and 0.05 for Sudoku.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        contrast_weight: float = 0.05
        corrupted_share: float = 0.05

        def __post_init__(self) -> None:
            if self.contrast_weight < 0:
                raise ValueError(f"contrast_weight may not be negative, got {self.contrast_weight}")
            if not 0 < self.corrupted_share <= 1:
                raise ValueError(f"corrupted_share must lie in (0, 1], got {self.corrupted_share}")

    def __init__(self, config: Config, predictor: Annealed) -> None:
        super().__init__()
        self.config, self.predictor = config, predictor
        self._judge = self.stage(self._judged)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of one batch."""
        # Drawn on the host from the same seed: nothing waits for the device.
        host = torch.Generator().manual_seed(generator.initial_seed())
        level = int(torch.randint(self.predictor.levels, (), generator=host))
        error, contrast = self._judge(batch, level, source=generator)
        value = error + self.config.contrast_weight * contrast
        metrics = {"noise_error": error.detach(), "contrast": contrast.detach()}
        return Loss(value, metrics, len(batch["known"]))

    def _judged(
        self, batch: dict[str, Tensor], level: int, source: Randomness
    ) -> tuple[Tensor, Tensor]:
        model = self.predictor
        problem, target = model.task(batch)
        landscape = model.at_level(model.landscape(problem), level)
        answer = model.space.ideal(target)[:, None]
        data, scale = model.scales(level)
        noise = normal(answer.shape, answer, source)
        right = landscape.hold(data * answer + scale * noise)
        slope = landscape.slope(right, level, graph=torch.is_grad_enabled())
        told = right - landscape.move(right, slope.point, slope.gradient)
        asked = landscape.hold(right) - landscape.hold(right - noise)
        error = (told - asked).square().mean()
        other = self._corrupted(target, answer, noise, source)
        wrong = landscape.hold(data * other + scale * noise)
        tokens = right.shape[-2]
        energies = self._energies(landscape, torch.cat([right, wrong], dim=1), level)
        low, high = energies.split(1, dim=1)
        return error, F.softplus(tokens * (low - high)).mean()

    def _energies(self, landscape: Landscape, y: Tensor, level: int) -> Tensor:
        landscape.body.ready(landscape.state, level)
        embedding = landscape.space.embed(landscape.space.point(y, level))
        return landscape.body.energy(landscape.state, embedding, level)

    def _corrupted(
        self, target: Tensor, answer: Tensor, noise: Tensor, source: Randomness
    ) -> Tensor:
        """A wrong answer near the right one."""
        if target.is_floating_point():
            return answer + 3.0 * noise.roll(1, dims=-1)
        symbols = answer.shape[-1]
        dice = uniform((*target.shape, 2), answer, source)
        open_ = dice[..., 0].masked_fill(target < 0, torch.inf)
        chosen = open_ < self.config.corrupted_share
        # At least one of the tokens that are asked for.
        chosen = chosen | (open_ == open_.amin(-1, keepdim=True))
        shift = 1 + (dice[..., 1] * (symbols - 1)).long().clamp(max=symbols - 2)
        other = torch.where(chosen & (target >= 0), (target + shift) % symbols, target)
        return self.predictor.space.ideal(other)[:, None]

    @torch.no_grad()
    def evaluate(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Task loss and scores of what the descent of all levels makes."""
        problem, target = self.predictor.task(batch)
        prediction = self.predictor.predict(problem, Budget(), generator)
        named = {self.metric: self.predictor.loss(prediction.output, target)}
        named |= self.predictor.scores(prediction.output, target)
        metrics = {name: values.mean() for name, values in named.items()}
        metrics["energy"] = prediction.energy.mean()
        return Loss(metrics[self.metric], metrics, len(target))

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """One trained step, and two trained energies, at one of the levels."""
        model = self.predictor
        count, length = model.extent(model.task(batch)[0])
        taught = model.training_flops(count, length, 1, "none", 1)
        others = (1 - 1 / model.levels) * model.body.encode_flops(length, model.levels)
        taught -= count * 2 * others
        scored = model.body.energy_flops(length) + length * model.space.flops().embed
        return taught + count * 3 * 2 * scored
