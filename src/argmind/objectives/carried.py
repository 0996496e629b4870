"""Carried thoughts: each batch goes on thinking where the one before left off."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.objectives.base import Loss
from argmind.objectives.lesson import Opening
from argmind.objectives.thinking import ThinkingObjective
from argmind.objectives.under_way import UnderWay, choose
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness, uniform
from argmind.registry import register

#: Beside a problem's own tensors: its candidate, and the steps left to it.
_CANDIDATE, _LEFT = "carried_candidate", "carried_left"


@register("objective", "carried")
class Carried(ThinkingObjective):
    """A few steps per batch; a problem stays, with its candidate, until it has had its steps.

    A problem is given a number of steps, uniformly from 1 … ``longest``. Each batch takes
    ``at_once`` of them for all problems that are under way, learns from these, and carries the
    candidates on as constants; where a problem is done, or its candidate is no number any more, one
    of the batch takes its place. So thoughts are learnt for many steps at the cost of a few, and
    weights are updated that much more often. Steps are counted anew in every batch, which suits
    energies and schedules that are alike in all of them.

    Source: persistent chains (Tieleman 2008), deep supervision as of recursive reasoners
    (Jolicoeur-Martineau 2025). Cost: that of ``at_once`` steps, and one candidate kept a problem.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        at_once: int = 1
        longest: int = 8

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 1 <= self.at_once <= self.longest:
                raise ValueError(
                    f"at_once must be at least 1 and at most longest ({self.longest}), "
                    f"got {self.at_once}"
                )
            if self.fewest_steps is not None or self.replay_samples:
                raise ValueError(
                    "longest draws numbers of steps, and candidates are carried: leave out "
                    "fewest_steps and replay_samples"
                )

    config: Config

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__(config, predictor)
        self.most_steps, self.starts_as_offered = config.at_once, False
        self._carried = UnderWay()

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of the next steps of the carried problems."""
        if not self.training:
            return self.trial(batch, generator)
        samples, left = batch, self._drawn(batch, generator)
        if self._carried.suits(batch):
            samples, left = self._going_on(batch, left)
        loss, candidate = self._taught(samples, None, self.config.at_once, generator)
        left = left - self.config.at_once
        self._carried.keep({**samples, _CANDIDATE: candidate.detach(), _LEFT: left})
        return loss

    def _opening(
        self, samples: dict[str, Tensor], past: Tensor | None, steps: int, source: Randomness
    ) -> Opening:
        """As without carrying, but for the candidates that are under way."""
        opening = super()._opening(samples, past, steps, source)
        if _CANDIDATE not in samples:
            return opening
        under_way = samples[_LEFT] > 0
        start = choose(under_way, samples[_CANDIDATE], opening.start)
        return Opening(opening.state, opening.offered, start, opening.target, opening.sizes)

    # ------------------------------------------------------------------ what is carried

    def _going_on(
        self, batch: dict[str, Tensor], drawn: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Problems under way, and the batch's in place of others; the steps left to them all."""
        carried = self._carried.rows
        finite = carried[_CANDIDATE].isfinite().flatten(1).all(1)
        left = carried[_LEFT] * finite
        samples = {name: choose(left > 0, carried[name], rows) for name, rows in batch.items()}
        samples |= {_CANDIDATE: carried[_CANDIDATE].nan_to_num(), _LEFT: left}
        return samples, torch.where(left > 0, left, drawn)

    def _drawn(self, batch: dict[str, Tensor], source: Randomness) -> Tensor:
        weight = next(self.predictor.parameters())
        dice = uniform((len(next(iter(batch.values()))),), weight, source)
        return 1 + (dice * self.config.longest).floor().clamp(max=self.config.longest - 1)

    def runtime_state(self) -> dict[str, Tensor]:
        """The problems under way, their candidates and the steps left to them."""
        return dict(self._carried.rows)

    def load_runtime_state(self, state: dict[str, Tensor]) -> None:
        """Go on with saved ones; with none, all start over."""
        if state:
            device = next(self.predictor.parameters()).device
            self._carried.keep({name: rows.to(device) for name, rows in state.items()})
        elif self._carried.rows:
            self._carried.rows[_LEFT].zero_()
