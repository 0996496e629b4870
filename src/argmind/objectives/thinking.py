"""Learning through thinking: a task loss on the descended candidates.

The loss is differentiated through the descent, so parameters receive second derivatives of the
energy. Source: Energy-Based Transformers, section 3 (System 1) and 3.3 (System 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Step
from argmind.objectives.base import Loss, Objective
from argmind.objectives.held_out import of_every_step
from argmind.objectives.lesson import (
    Found,
    Lesson,
    Opening,
    all_together,
    as_tensor,
    drawn_steps,
    mean,
    perturbed,
    step_by_step,
)
from argmind.objectives.replay import ReplayBuffer
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.landscape import Landscape
from argmind.thinking.think import Taken, Through


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
        #: Is its error taken as it is, or in units of the batch's mean loss, whatever their scale?
        energy_error: Literal["absolute", "relative"] = "absolute"
        #: Share of predictions that start off their start, by the noise of further candidates.
        noisy_starts: float = 0.0
        #: Draw the number of steps uniformly from fewest_steps … thinking.steps (None: no drawing).
        fewest_steps: int | None = None
        #: Samples in the replay buffer (0: none); half a batch of them joins every batch.
        replay_samples: int = 0

        def __post_init__(self) -> None:
            for name in ("start_weight", "energy_weight", "replay_samples"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name} may not be negative, got {getattr(self, name)}")
            if not 0 <= self.noisy_starts <= 1:
                raise ValueError(f"noisy_starts must lie in [0, 1], got {self.noisy_starts}")
            if self.fewest_steps is not None and self.fewest_steps < 1:
                raise ValueError(f"fewest_steps must be at least 1, got {self.fewest_steps}")

    def __init__(self, config: Config, predictor: EBT) -> None:
        super().__init__()
        self.config, self.predictor = config, predictor
        self.replay = ReplayBuffer(config.replay_samples) if config.replay_samples else None
        self.most_steps = predictor.thinker.config.steps
        #: Do thoughts begin at the candidates whose losses are taught as those of the start?
        self.starts_as_offered = not config.noisy_starts
        self._open = self.stage(self._opening)
        self._step = self.stage(self._stepped)
        self._judge = self.stage(self._losses)

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
        return self._taught(batch, None, self.most_steps, source)[0]

    def _taught(
        self, samples: dict[str, Tensor], past: Tensor | None, steps: int, source: Randomness
    ) -> tuple[Loss, Tensor]:
        """Loss, and the last candidates."""
        opening = self._open(samples, past, steps, source=source)
        if self.config.start_weight:
            losses = self._judge(opening.offered, opening.target)
            known = losses.detach() if self.starts_as_offered else None
            opening = opening._replace(losses=losses, known=known)
        teach = partial(self._lesson, steps=steps, source=source)
        if self.config.through == "none":
            judged = [self._teaches(step + 1 == steps) for step in range(steps)]
            weights = [weight for weight in self.predictor.parameters() if weight.requires_grad]
            lesson = step_by_step(weights, opening, teach, judged)
        else:
            lesson = all_together(opening, teach, steps)
        return self._loss(opening, lesson), lesson.candidate

    @property
    def repeats(self) -> bool:
        """Is the work the same in every step, but for the numbers?"""
        fewest, most = self.config.fewest_steps, self.most_steps
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
        sizes = model.thinker.sizes(landscape, start, source, noisy=True)
        tensors = [as_tensor(sizes(step), start) for step in range(steps)]
        share, std = self.config.noisy_starts, model.thinker.config.start_noise_std
        moved = perturbed(start, share, std, model.space.feature_axes, source)
        return Opening(landscape.state, start, model.space.stepped(moved), target, tensors)

    def _stepped(
        self,
        state: Any,
        y: Tensor,
        memory: Tensor | None,
        step: Step,
        size: Tensor,
        graph: bool,
        target: Tensor | None,
        source: Randomness,
    ) -> tuple[Taken, Tensor | None]:
        """Move candidates by one step, which may be a tensor; with a target, losses of where to."""
        landscape = Landscape(self.predictor.space, self.predictor.body, state)
        graph, thinker = graph and torch.is_grad_enabled(), self.predictor.thinker
        taken = thinker.train_step(landscape, y, memory, step, size, graph, source)
        # In the same program: between two, the derivative of many logits would be copied.
        losses = None if target is None else self._losses(taken.candidate, target)
        if self.config.through == "none":  # the next step starts from a constant
            taken = Taken(taken.candidate.detach(), taken.slope, taken.memory)
        return taken, losses

    def _losses(self, y: Tensor, target: Tensor, source: Randomness = None) -> Tensor:  # noqa: ARG002
        """Task loss (B, N, *P) of candidates."""
        return self.predictor.space.loss(y, target)

    def _lesson(
        self,
        opening: Opening,
        y: Tensor,
        memory: Tensor | None,
        step: int,
        known: Tensor | None,
        *,
        steps: int,
        source: Randomness,
    ) -> Lesson:
        """Think one step from ``y``, whose losses may be ``known``, and judge what comes."""
        last = step + 1 == steps
        graph = self.config.through != "last" or last
        state, number = self._seen_by(opening.state, step, y)
        if known is None and self._compares:
            with torch.no_grad():
                known = self._judge(y, opening.target)
        given = (state, y, memory, number, opening.sizes[step], graph)
        target = opening.target if self._judges(last) else None
        taken, after = self._step(*given, target, source=source)
        energy = taken.slope.energy
        learnt = self.predictor.space.counts(opening.target)[:, None].expand(energy.shape)
        landscape = Landscape(self.predictor.space, self.predictor.body, opening.state)
        found = Found(landscape.to_foretell(energy), known, after, learnt)
        task = None if after is None else mean(after, learnt)
        relative = self.config.energy_error == "relative"
        error = found.foretelling_error(relative) / steps if self.config.energy_weight else None
        return Lesson(
            value=self._value(found, task, error, steps, last),
            candidate=taken.candidate,
            losses=None if after is None else after.detach(),
            memory=taken.memory,
            task_loss=None if task is None else task.detach(),
            energy=energy.detach().mean(),
            energy_error=None if error is None else error.detach(),
            diverged=~energy.detach().isfinite(),
        )

    def _seen_by(self, state: Any, step: int, y: Tensor) -> tuple[Any, Step]:
        """State and number of a step: for a compiled one, which serves all steps, as tensors."""
        alike = self._step.is_compiled and self.predictor.space.steps_alike
        seen = self.predictor.body.at(state, step) if alike else None
        if seen is None:
            return state, step
        return seen, torch.full((), step, device=y.device)

    def _value(
        self,
        found: Found,  # noqa: ARG002
        task: Tensor | None,
        error: Tensor | None,
        steps: int,
        last: bool,
    ) -> Tensor | None:
        """What a step adds to the loss; None: nothing."""
        every = self.config.loss_on == "all"
        parts = [task / (steps if every else 1)] if task is not None and (every or last) else []
        if error is not None:
            parts.append(self.config.energy_weight * error)
        return torch.stack(parts).sum() if parts else None

    def _judges(self, last: bool) -> bool:
        """Of where a step leads."""
        return last or self.config.loss_on == "all"

    @property
    def _compares(self) -> bool:
        """Does a step ask for the losses of where it began?"""
        return self.config.energy_weight > 0

    def _teaches(self, last: bool) -> bool:
        """Is there something to be learnt from a step?"""
        return self._judges(last) or self.config.energy_weight > 0

    # ------------------------------------------------------------------ around the steps

    def _steps(self, generator: torch.Generator) -> int:
        fewest, most = self.config.fewest_steps, self.most_steps
        return most if fewest is None else drawn_steps(fewest, most, generator)

    def _with_replay(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The batch, grown by half with past samples, and those samples' candidates."""
        if self.replay is None or not len(self.replay) or not self.training:
            return batch, None
        return self.replay.joined(batch, generator)

    def _loss(self, opening: Opening, lesson: Lesson) -> Loss:
        assert lesson.value is not None  # the last step is always judged
        assert lesson.task_loss is not None
        value, metrics = lesson.value, {self.metric: lesson.task_loss}
        if opening.losses is not None:
            learnt = self.predictor.space.counts(opening.target)[:, None]
            start = mean(opening.losses, learnt)
            value = value + self.config.start_weight * start
            metrics[f"{self.metric}_start"] = start.detach()
        if lesson.energy_error is not None:
            metrics["energy_error"] = lesson.energy_error
        metrics["energy"] = lesson.energy
        metrics["diverged"] = lesson.diverged.float().mean()
        return Loss(value, metrics, lesson.diverged.numel())

    def evaluate(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss after the trained number of steps, free of training noise; and of every step."""
        counts = self.predictor.space.counts
        given = (self.predictor, batch, generator, self.metric)
        prediction, metrics = of_every_step(*given, lambda x, target: mean(x, counts(target)))
        metrics["energy"] = prediction.energy.mean()
        metrics["diverged"] = prediction.diverged.float().mean()
        return Loss(metrics[self.metric], metrics, prediction.energy.numel())

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """See :meth:`EBT.training_flops`; a full replay buffer and the mean number of steps."""
        sequences, length = self.predictor.extent(self.predictor.task(batch)[0])
        replayed = max(1, sequences // 2) if self.replay is not None else 0
        most = self.most_steps
        steps = (min(self.config.fewest_steps or most, most) + most) / 2
        return self.predictor.training_flops(
            sequences + replayed,
            length,
            steps,
            self.config.through,
            steps if self.config.loss_on == "all" else 1,
            judged_start=self.config.start_weight > 0,
        )

    def runtime_state(self) -> dict[str, Tensor]:
        """The replay buffer."""
        return self.replay.state() if self.replay is not None else {}

    def load_runtime_state(self, state: dict[str, Tensor]) -> None:
        """Continue with a saved replay buffer."""
        if self.replay is not None:
            self.replay.restore(state, next(self.predictor.parameters()).device)
