"""Plain learning from answers: how rivals that give a sequence of them learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives.base import Loss, Objective
from argmind.objectives.held_out import of_every_step
from argmind.predictors._answers import AnswerPredictor, TurnPredictor
from argmind.randomness import Randomness, uniform
from argmind.registry import register

A = TypeVar("A", bound=AnswerPredictor)


class AnswerObjective(Objective[A]):
    """Held-out measures of predictors of reasoning problems, turn by turn."""

    def evaluate(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss and scores after the trained number of turns, and after each."""
        prediction, metrics = of_every_step(
            *(self.predictor, batch, generator, self.metric),
            lambda values, target: values.mean(),  # noqa: ARG005
        )
        metrics["unsure"] = prediction.energy.mean()
        return Loss(metrics[self.metric], metrics, len(prediction.energy))


@register("objective", "supervised")
class Supervised(AnswerObjective[TurnPredictor]):
    """Task loss after every turn (their mean) or after the last, through all of them."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        loss_on: Literal["all", "last"] = "all"
        #: Draw the number of turns uniformly from fewest_turns … the trained (None: no drawing).
        fewest_turns: int | None = None
        #: Is one number of turns drawn for the batch, which saves the turns beyond it, or one for
        #: every problem? Then the work is the same in every step, and a GPU can replay it.
        drawn_for: Literal["batch", "problem"] = "batch"

        def __post_init__(self) -> None:
            if self.fewest_turns is not None and self.fewest_turns < 1:
                raise ValueError(f"fewest_turns must be at least 1, got {self.fewest_turns}")

    def __init__(self, config: Config, predictor: TurnPredictor) -> None:
        super().__init__()
        self.config, self.predictor = config, predictor
        self._judge = self.stage(self._losses)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Mean loss of one batch."""
        losses = self._judge(batch, self._turns(generator), source=generator)
        value = (losses * self._weights(losses, generator)).sum(0).mean()
        return Loss(value, {self.metric: losses[-1].mean().detach()}, len(batch["known"]))

    @property
    def repeats(self) -> bool:
        """The same work in every step, unless the batch's number of turns is drawn."""
        return self._fewest is None or self.config.drawn_for == "problem"

    @property
    def _fewest(self) -> int | None:
        """Turns from which on they are drawn; None where there is nothing to draw."""
        fewest = self.config.fewest_turns
        return None if fewest is None or fewest >= self.predictor.trained_turns else fewest

    def _losses(self, batch: dict[str, Tensor], count: int, source: Randomness) -> Tensor:  # noqa: ARG002
        """Of every problem after each turn: (turns, B)."""
        problem, target = self.predictor.task(batch)
        turns = self.predictor.turns(problem, count)
        return torch.stack([self.predictor.loss(turn.output, target) for turn in turns])

    def _weights(self, losses: Tensor, generator: torch.Generator) -> Tensor:
        """How much each turn's loss counts, adding up to 1; turns that were not drawn do not."""
        count, problems = losses.shape
        turn = torch.arange(1, count + 1, device=losses.device)[:, None]
        last, fewest = turn[-1], self._fewest
        if fewest is not None and self.config.drawn_for == "problem":
            dice = uniform((problems,), losses, generator)
            last = (fewest + (count + 1 - fewest) * dice).long().clamp(max=count)
        counts = turn <= last if self.config.loss_on == "all" else turn == last
        return counts / counts.sum(0)

    def _turns(self, generator: torch.Generator) -> int:
        most, fewest = self.predictor.trained_turns, self._fewest
        if fewest is None or self.config.drawn_for == "problem":
            return most
        # Drawn on the host from the same seed: nothing waits for the device.
        host = torch.Generator().manual_seed(generator.initial_seed())
        return int(torch.randint(fewest, most + 1, (), generator=host))

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """See the predictor's; the mean number of turns."""
        turns, fewest = float(self.predictor.trained_turns), self._fewest
        if fewest is not None and self.config.drawn_for == "batch":
            turns = (fewest + turns) / 2
        sequences, length = self.predictor.extent(self.predictor.task(batch)[0])
        return self.predictor.training_flops(sequences, length, turns=turns)
