"""Learning through thinking: a task loss on the descended candidates.

The loss is differentiated through the descent, so parameters receive second derivatives of the
energy. Source: Energy-Based Transformers, section 3 (System 1) and 3.3 (System 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.objectives.base import Loss, Objective
from argmind.objectives.replay import ReplayBuffer
from argmind.predictors.ebt import EBT
from argmind.randomness import normal, uniform
from argmind.registry import register
from argmind.thinking.accept import per_prediction
from argmind.thinking.budget import Budget
from argmind.thinking.think import Thought, Through


@register("objective", "thinking")
class ThinkingObjective(Objective[EBT]):
    """Task loss on candidates after thinking, every part of the published recipes switchable."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: Steps that the loss is differentiated through.
        through: Through = "all"
        #: Candidates that the loss is taken of: after each step (their mean) or after the last.
        loss_on: Literal["all", "last"] = "last"
        #: Weight of the loss of the start itself (amortised starts), beside weight 1 for the rest.
        start_weight: float = 0.0
        #: Weight of teaching each energy on the way to foretell its candidate's loss (Huber).
        energy_weight: float = 0.0
        #: Share of predictions that start off their start, by the noise of further candidates.
        noisy_starts: float = 0.0
        #: Draw the number of steps uniformly from fewest_steps … thinking.steps (None: no drawing).
        fewest_steps: int | None = None
        #: Samples in the replay buffer (0: none); half a batch of them joins every batch.
        replay_samples: int = 0

        def __post_init__(self) -> None:
            if self.start_weight < 0:
                raise ValueError(f"start_weight may not be negative, got {self.start_weight}")
            if self.energy_weight < 0:
                raise ValueError(f"energy_weight may not be negative, got {self.energy_weight}")
            if not 0 <= self.noisy_starts <= 1:
                raise ValueError(f"noisy_starts must lie in [0, 1], got {self.noisy_starts}")
            if self.fewest_steps is not None and self.fewest_steps < 1:
                raise ValueError(f"fewest_steps must be at least 1, got {self.fewest_steps}")
            if self.replay_samples < 0:
                raise ValueError(f"replay_samples may not be negative, got {self.replay_samples}")

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__()
        self.config, self.predictor = config, predictor
        self.replay = ReplayBuffer(config.replay_samples) if config.replay_samples else None

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of one batch, grown by replayed samples where there is a buffer."""
        model = self.predictor
        samples, past = self._with_replay(batch, generator)
        context, target = model.task(samples)
        landscape = model.landscape(context)
        start = model.thinker.start(landscape, 1, generator)
        if past is not None:
            start = torch.cat([start[: -len(past)], past])
        thought = model.thinker.train_think(
            landscape,
            self._perturbed(start, generator),
            self._steps(generator),
            self.config.through,
            generator,
        )
        if self.replay is not None and self.training:
            fresh = len(thought.candidate) - (0 if past is None else len(past))
            self.replay.push({**batch, "candidate": thought.candidate[:fresh]})
        return self._loss(start, thought, target)

    def _perturbed(self, start: Tensor, generator: torch.Generator) -> Tensor:
        """Some starts moved by noise: candidates that thinking has to bring back."""
        if not self.config.noisy_starts:
            return start
        thinker, space = self.predictor.thinker, self.predictor.space
        predictions = start.shape[: start.ndim - space.feature_axes]
        moved = uniform(predictions, start, generator) < self.config.noisy_starts
        noise = thinker.config.start_noise_std * normal(start.shape, start, generator)
        return per_prediction(moved, start + noise, start)

    def _steps(self, generator: torch.Generator) -> int:
        most = self.predictor.thinker.config.steps
        fewest = self.config.fewest_steps
        if fewest is None or fewest >= most:
            return most
        return int(torch.randint(fewest, most + 1, (), generator=_on_host(generator)))

    def _with_replay(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The batch, grown by half with past samples, and those samples' candidates."""
        if self.replay is None or not len(self.replay) or not self.training:
            return batch, None
        fresh = len(next(iter(batch.values())))
        drawn = self.replay.draw(max(1, fresh // 2), generator)
        grown = {name: torch.cat([rows, drawn[name]]) for name, rows in batch.items()}
        return grown, drawn["candidate"]

    def _loss(self, start: Tensor, thought: Thought, target: Tensor) -> Loss:
        space = self.predictor.space
        learnt = space.counts(target)[:, None].expand(thought.diverged.shape)
        judged = thought.candidates[1:] if self.config.loss_on == "all" else [thought.candidate]
        means = [_mean(space.loss(y, target), learnt) for y in judged]
        value = torch.stack(means).mean()
        metrics = {"nats": means[-1].detach()}
        if self.config.start_weight:
            first = _mean(space.loss(start, target), learnt)
            value = value + self.config.start_weight * first
            metrics["nats_start"] = first.detach()
        if self.config.energy_weight:
            foretelling = self._foretelling(thought, target, learnt)
            value = value + self.config.energy_weight * foretelling
            metrics["energy_error"] = foretelling.detach()
        metrics["energy"] = thought.energies[0].detach().mean()
        metrics["diverged"] = thought.diverged.float().mean()
        return Loss(value, metrics, target.numel())

    def _foretelling(self, thought: Thought, target: Tensor, learnt: Tensor) -> Tensor:
        """How far energies are from the losses of their candidates, which are constants here."""
        errors: list[Tensor] = []
        for energy, y in zip(thought.energies, thought.candidates, strict=False):
            with torch.no_grad():
                loss = self.predictor.space.loss(y, target)
            errors.append(_mean(F.smooth_l1_loss(energy, loss, reduction="none"), learnt))
        return torch.stack(errors).mean()

    @torch.no_grad()
    def evaluate(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss after the trained number of steps, free of training noise; and of every step."""
        context, target = self.predictor.task(batch)
        prediction = self.predictor.predict(context, Budget(trace=True), generator)
        assert prediction.trace is not None  # asked for
        learnt = self.predictor.space.counts(target)
        losses = [_mean(self.predictor.loss(y, target), learnt) for y in prediction.trace.outputs]
        metrics = {f"nats_step_{step}": loss for step, loss in enumerate(losses)}
        metrics["nats"] = losses[-1]
        metrics["energy"] = prediction.energy.mean()
        metrics["diverged"] = prediction.diverged.float().mean()
        return Loss(losses[-1], metrics, target.numel())

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """See :meth:`EBT.training_flops`; a full replay buffer and the mean number of steps."""
        sequences, length = self.predictor.task(batch)[0].shape
        replayed = max(1, sequences // 2) if self.replay is not None else 0
        most = self.predictor.thinker.config.steps
        steps = (min(self.config.fewest_steps or most, most) + most) / 2
        judged_steps = steps if self.config.loss_on == "all" else 1
        return self.predictor.training_flops(
            sequences + replayed,
            length,
            steps,
            self.config.through,
            judged_steps,
            judged_start=self.config.start_weight > 0,
        )

    def runtime_state(self) -> dict[str, Tensor]:
        """The replay buffer."""
        return self.replay.state() if self.replay is not None else {}

    def load_runtime_state(self, state: dict[str, Tensor]) -> None:
        """Continue with a saved replay buffer."""
        if self.replay is not None:
            self.replay.restore(state, next(self.predictor.parameters()).device)


def _mean(losses: Tensor, learnt: Tensor) -> Tensor:
    return (losses * learnt).sum() / learnt.sum().clamp(min=1)


def _on_host(generator: torch.Generator) -> torch.Generator:
    """A host generator seeded like ``generator``, so that a draw for the host needs no sync."""
    return torch.Generator().manual_seed(generator.initial_seed())


@register("objective", "s1")
class SystemOne(ThinkingObjective):
    """Published System 1: candidates detached between steps, loss after each step."""

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        through: Through = "none"
        loss_on: Literal["all", "last"] = "all"


@register("objective", "s2")
class SystemTwo(ThinkingObjective):
    """Published System 2: only the last step keeps its graph, loss on it; 2–3 steps; replay."""

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        through: Through = "last"
        fewest_steps: int | None = 2
        replay_samples: int = 192
