"""Deep supervision: one segment of a recursion at a time, its latents carried to the next step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.objectives.base import Loss
from argmind.objectives.supervised import AnswerObjective
from argmind.objectives.under_way import UnderWay, choose
from argmind.predictors.recursive import Latents, Recursive
from argmind.randomness import Randomness, uniform
from argmind.registry import register


@register("objective", "deep_supervision")
class DeepSupervision(AnswerObjective[Recursive]):
    """One segment per optimiser step; problems stay until halted, then the batch's take over.

    ``loss + halt_weight · BCE(right?, solved)``. A problem is halted where the model believes its
    answer right, but with probability ``explore`` not before a random number of segments; at the
    latest after ``thinking.steps``. Source: TRM (see :class:`Recursive`).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        halt_weight: float = 0.5
        explore: float = 0.1

        def __post_init__(self) -> None:
            if self.halt_weight < 0:
                raise ValueError(f"halt_weight may not be negative, got {self.halt_weight}")
            if not 0 <= self.explore <= 1:
                raise ValueError(f"explore must lie in [0, 1], got {self.explore}")

    def __init__(self, config: Config, predictor: Recursive) -> None:
        super().__init__()
        self.config, self.predictor = config, predictor
        self._carried = UnderWay()
        self._judge = self.stage(self._segment)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of the next segment of the carried problems."""
        samples, latents, done = self._going_on(batch)
        latents, right, judged = self._judge(samples, latents, source=generator)
        if self.training:
            self._carry(samples, latents, right.detach(), done + 1, generator)
        return self._loss(judged, len(done))

    def trial(self, batch: dict[str, Tensor], source: Randomness) -> Loss:
        """Loss of the first segment of a batch; nothing is carried."""
        latents, done = self._begun(batch)
        return self._loss(self._judge(batch, latents, source=source)[-1], len(done))

    def _loss(self, judged: dict[str, Tensor], problems: int) -> Loss:
        value = judged[self.predictor.metric]
        if "halting" in judged:
            value = value + self.config.halt_weight * judged["halting"]
        return Loss(value, {name: x.detach() for name, x in judged.items()}, problems)

    def _segment(
        self,
        samples: dict[str, Tensor],
        latents: Latents,
        source: Randomness,  # noqa: ARG002
    ) -> tuple[Latents, Tensor, dict[str, Tensor]]:
        """The latents after a segment, the logit of being right, and how the answer is judged."""
        model = self.predictor
        problem, target = model.task(samples)
        latents = model.segment(model.rows(problem), latents)
        output, right = model.readout(latents.answer), model.right(latents)
        judged = {model.metric: model.loss(output, target).mean()}
        scores = model.scores(output.detach(), target)
        if "solved" in scores:
            judged["halting"] = F.binary_cross_entropy_with_logits(right, scores["solved"])
            judged["solved"] = scores["solved"].mean()
        return latents, right, judged

    def _going_on(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Latents, Tensor]:
        """Carried problems that are not halted, and the batch's in the place of the others."""
        carried, (fresh, done) = self._carried.rows, self._begun(batch)
        if not self.training or not self._carried.suits(batch):
            return batch, fresh, done
        halted = carried["halted"]
        samples = {name: choose(halted, rows, carried[name]) for name, rows in batch.items()}
        latents = Latents(
            choose(halted, fresh.answer, carried["answer"]),
            choose(halted, fresh.thought, carried["thought"]),
        )
        return samples, latents, torch.where(halted, done, carried["done"])

    def _begun(self, batch: dict[str, Tensor]) -> tuple[Latents, Tensor]:
        """First latents of a batch's problems, and no segments done."""
        first = self.predictor.first
        count, tokens = batch["known"].shape
        like = first.new_empty(count, tokens, first.shape[1])
        done = torch.zeros(count, dtype=torch.long, device=like.device)
        return self.predictor.begin(like), done

    def _carry(
        self,
        samples: dict[str, Tensor],
        latents: Latents,
        right: Tensor,
        done: Tensor,
        generator: torch.Generator,
    ) -> None:
        most = self.predictor.trained_turns
        dice = uniform((2, len(done)), right, generator)
        patience = torch.where(dice[0] < self.config.explore, 2 + dice[1] * (most - 1), 1)
        halted = (done >= most) | ((right > 0) & (done >= patience.long()))
        self._carried.keep(
            {
                **samples,
                "answer": latents.answer.detach(),
                "thought": latents.thought.detach(),
                "done": done,
                "halted": halted,
            }
        )

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """One segment."""
        sequences, length = self.predictor.extent(self.predictor.task(batch)[0])
        return self.predictor.training_flops(sequences, length)

    @property
    def repeats(self) -> bool:
        """One segment in every step."""
        return True

    def runtime_state(self) -> dict[str, Tensor]:
        """The carried problems and latents."""
        return dict(self._carried.rows)

    def load_runtime_state(self, state: dict[str, Tensor]) -> None:
        """Go on with saved ones; with none, all start over."""
        if state:
            device = self.predictor.first.device
            self._carried.keep({name: rows.to(device) for name, rows in state.items()})
        elif self._carried.rows:
            self._carried.rows["halted"].fill_(True)
