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
from argmind.objectives.lesson import Lesson, Opening, step_by_step
from argmind.objectives.replay import ReplayBuffer
from argmind.predictors.ebt import EBT
from argmind.randomness import Draws, Randomness, Tape, normal, uniform
from argmind.registry import register
from argmind.thinking.accept import per_prediction
from argmind.thinking.budget import Budget
from argmind.thinking.landscape import Landscape
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
        self._open = self.stage(self._opening)
        self._teach = self.stage(self._lesson)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of one batch, grown by replayed samples where there is a buffer."""
        samples, past = self._with_replay(batch, generator)
        loss, candidate = self._taught(samples, past, self._steps(generator), generator)
        if self.replay is not None and self.training:
            fresh = len(candidate) - (0 if past is None else len(past))
            self.replay.push({**batch, "candidate": candidate[:fresh]})
        return loss

    def trial(self, batch: dict[str, Tensor], source: Randomness) -> Loss:
        """Loss of this batch alone, after the most steps."""
        return self._taught(batch, None, self.predictor.thinker.config.steps, source)[0]

    def _taught(
        self, samples: dict[str, Tensor], past: Tensor | None, steps: int, source: Randomness
    ) -> tuple[Loss, Tensor]:
        """Loss, and the last candidates."""
        opening = self._open(samples, past, steps, source=source)
        if self.config.through == "none":
            lesson = self._step_by_step(opening, steps, source)
        else:
            lesson = self._teach(opening, opening.start, None, 0, steps, steps, None, source=source)
        return self._loss(opening, lesson), lesson.candidate

    @property
    def repeats(self) -> bool:
        """Is the work the same in every step, but for the numbers?"""
        fewest, most = self.config.fewest_steps, self.predictor.thinker.config.steps
        return self.replay is None and (fewest is None or fewest >= most)

    # ------------------------------------------------------------------ the stages

    def _opening(
        self, samples: dict[str, Tensor], past: Tensor | None, steps: int, source: Randomness
    ) -> Opening:
        """Encode the contexts for all steps, and start the candidates."""
        model = self.predictor
        problem, target = model.task(samples)
        landscape = model.landscape(problem)
        for step in range(steps):
            model.body.ready(landscape.state, step)
        start = model.thinker.start(landscape, 1, source)
        if past is not None:
            start = torch.cat([start[: -len(past)], past])
        learnt = model.space.counts(target)[:, None]
        loss = None
        if self.config.start_weight:
            loss = _mean(model.space.loss(start, target), learnt)
        return Opening(landscape.state, self._perturbed(start, source), target, loss)

    def _lesson(
        self,
        opening: Opening,
        y: Tensor,
        memory: Tensor | None,
        first: int,
        stop: int,
        steps: int,
        drawn: list[Tensor] | None,
        source: Randomness,
    ) -> Lesson:
        """Think the steps ``first`` to ``stop`` of ``steps``, from ``y``, and judge what comes.

        ``drawn``: the random part of the step sizes, where the thought has begun already.
        """
        model, config = self.predictor, self.config
        landscape = Landscape(model.space, model.body, opening.state)
        sizes = None
        if drawn is not None:
            sizes = model.thinker.sizes(landscape, y, Draws(drawn), noisy=True)
        thought = model.thinker.train_think(
            landscape,
            y,
            stop,
            config.through,
            source,
            sizes=sizes,
            first=first,
            memory=memory,
        )
        return self._judged(thought, opening.target, stop, steps)

    def _judged(self, thought: Thought, target: Tensor, stop: int, steps: int) -> Lesson:
        space, last = self.predictor.space, stop == steps
        learnt = space.counts(target)[:, None].expand(thought.diverged.shape)
        every = self.config.loss_on == "all"
        judged = thought.candidates[1:] if every else thought.candidates[-1:] if last else []
        means = [_mean(space.loss(y, target), learnt) for y in judged]
        parts = [mean / (steps if every else 1) for mean in means]
        error = None
        if self.config.energy_weight:
            error = self._foretelling(thought, target, learnt) * (len(thought.energies) / steps)
            parts.append(self.config.energy_weight * error)
        return Lesson(
            value=torch.stack(parts).sum() if parts else None,
            candidate=thought.candidate,
            memory=thought.memory,
            task_loss=means[-1].detach() if means else None,
            energy=thought.energies[0].detach().mean(),
            energy_error=None if error is None else error.detach(),
            diverged=thought.diverged,
        )

    def _step_by_step(self, opening: Opening, steps: int, source: Randomness) -> Lesson:
        """Steps that start from constants; what is random about their sizes is drawn once."""
        model = self.predictor
        tape = Tape(source)
        landscape = Landscape(model.space, model.body, opening.state)
        with torch.no_grad():
            model.thinker.sizes(landscape, opening.start, tape, noisy=True)

        def teach(opening: Opening, y: Tensor, memory: Tensor | None, step: int) -> Lesson:
            drawn = tape.tensors
            return self._teach(opening, y, memory, step, step + 1, steps, drawn, source=source)

        every = self.config.loss_on == "all" or self.config.energy_weight > 0
        judged = [every or step + 1 == steps for step in range(steps)]
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        return step_by_step(weights, opening, teach, judged)

    def _perturbed(self, start: Tensor, source: Randomness) -> Tensor:
        """Some starts moved by noise: candidates that thinking has to bring back."""
        if not self.config.noisy_starts:
            return start
        thinker, space = self.predictor.thinker, self.predictor.space
        predictions = start.shape[: start.ndim - space.feature_axes]
        moved = uniform(predictions, start, source) < self.config.noisy_starts
        noise = thinker.config.start_noise_std * normal(start.shape, start, source)
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

    def _loss(self, opening: Opening, lesson: Lesson) -> Loss:
        assert lesson.value is not None  # the last step is always judged
        assert lesson.task_loss is not None
        value, metrics = lesson.value, {self.metric: lesson.task_loss}
        if opening.loss is not None:
            value = value + self.config.start_weight * opening.loss
            metrics[f"{self.metric}_start"] = opening.loss.detach()
        if lesson.energy_error is not None:
            metrics["energy_error"] = lesson.energy_error
        metrics["energy"] = lesson.energy
        metrics["diverged"] = lesson.diverged.float().mean()
        return Loss(value, metrics, lesson.diverged.numel())

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
        metrics: dict[str, Tensor] = {}
        for step, output in enumerate(prediction.trace.outputs):
            named = {self.metric: self.predictor.loss(output, target)}
            for name, values in (named | self.predictor.scores(output, target)).items():
                metrics[f"{name}_step_{step}"] = metrics[name] = _mean(values, learnt)
        metrics["energy"] = prediction.energy.mean()
        metrics["diverged"] = prediction.diverged.float().mean()
        return Loss(metrics[self.metric], metrics, learnt.numel())

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """See :meth:`EBT.training_flops`; a full replay buffer and the mean number of steps."""
        sequences, length = self.predictor.extent(self.predictor.task(batch)[0])
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
