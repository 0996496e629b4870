"""A trained policy: observations in, actions out, with thinking as long as there is time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.normaliser import Normaliser
from argmind.data.order import row_seeds
from argmind.errors import UserError
from argmind.policy.deadline import Pace
from argmind.policy.sight import History, Observation, Sight
from argmind.predictors.base import Prediction
from argmind.runs import LoadedRun, Which, load_run
from argmind.thinking.budget import Budget

Array = NDArray[Any]
Floats = NDArray[np.float32]
Histories = Sequence[Sequence[Observation]] | Observation

#: What draws are made for: plan number k of an episode has purpose _PLANS + k.
_PLANS, _SAMPLES = 1 << 20, 1 << 19


@dataclass(frozen=True)
class Plan:
    """What to do next in B episodes, what it cost, and how sure the model is.

    ``energy_start`` and ``energy`` (B,) are those before and after thinking, NaN where the model
    has none; of diffusion models they tell how far the first and the last estimate moved. ``ms`` is
    the time that all of them took together. Actions of ``diverged`` plans should not be taken.
    """

    actions: Floats  # (B, execute, A), in the environment's units
    energy_start: Array
    energy: Array
    nfe: Array
    diverged: Array
    ms: float


class Policy:
    """A run that acts, whatever model is in it.

    ``plan`` answers many histories at once; ``act`` keeps one episode's history and queue of
    actions, and thinks when the queue is empty. Draws are a function of the policy's seed, the
    episode's seed and the number of the plan in it, and not of what is planned beside it.
    """

    def __init__(
        self,
        run: LoadedRun,
        normaliser: Normaliser,
        *,
        execute: int | None = None,
        budget: Budget | None = None,
        seed: int = 0,
    ) -> None:
        """``execute``: so many actions of a chunk are taken before the next plan.

        Raises:
            UserError: the run is none of a policy, or its chunks have fewer actions.
        """
        require_policy(run)
        inputs = run.inputs
        execute = _executed(run) if execute is None else execute
        self.run, self.normaliser = run, normaliser
        self.action_size, self.frames = int(inputs["action_size"]), int(inputs["frames"])
        most = int(inputs["chunk"]) - self.frames + 1
        if not 1 <= execute <= most:
            raise UserError(
                f"a chunk of {inputs['chunk']} actions, the first of which belongs to the oldest "
                f"of {self.frames} frames, has 1 to {most} to execute, not {execute}."
            )
        self.execute, self.seed = execute, seed
        self.budget = budget or Budget()
        self.predictor.check(self.budget)
        self.sight = Sight(inputs["observations"], self.frames, normaliser)
        self._pace = Pace(run.predictor, run.device)
        self._history = History(self.frames)
        self._queue: deque[Floats] = deque()
        self._episode, self._plans = 0, 0

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        which: Which | int = "best",
        device: str = "auto",
        execute: int | None = None,
        budget: Budget | None = None,
        seed: int = 0,
    ) -> Policy:
        """The policy of a run folder, with the normaliser beside its weights.

        Raises:
            UserError: see :func:`argmind.runs.load_run`; the normaliser is missing or damaged; or
                the run is none of a policy.
        """
        run = load_run(folder, which=which, device=device)
        require_policy(run)
        return cls(run, Normaliser.load(Path(folder)), execute=execute, budget=budget, seed=seed)

    @property
    def predictor(self) -> Any:
        """The model itself."""
        return self.run.predictor

    # -------------------------------------------------------------- one episode

    def reset(self, seed: int = 0) -> None:
        """Begin an episode: forget what was seen and what was to be done."""
        self._history.clear()
        self._queue.clear()
        self._episode, self._plans = seed, 0

    def act(self, observation: Observation, deadline_ms: float | None = None) -> Floats:
        """The action (A,) to take now, in the environment's units.

        Thinks when the actions of the last plan are used up. With a deadline it thinks as long as
        it may and returns the best so far; one step is taken in any case. How long a step takes is
        known once there was one: call :meth:`warm_up` before deadlines count.

        Raises:
            UserError: an observation that is not what the policy was trained on, or thinking that
                left the finite numbers.
        """
        self._history.add(self.sight.checked(observation))
        if not self._queue:
            seeds = self.plan_seeds([self._episode], self._plans)
            plan = self.plan([self._history.frames], seeds=seeds, deadline_ms=deadline_ms)
            if plan.diverged[0]:
                raise UserError(
                    "thinking left the finite numbers, and there is no action to take: use fewer "
                    "steps or another checkpoint."
                )
            self._plans += 1
            self._queue.extend(plan.actions[0])
        return self._queue.popleft()

    def warm_up(self, budget: Budget | None = None) -> None:
        """Plan twice for nothing, so that the time of a step is known and nothing is set up later.

        The episode in progress is left as it is.
        """
        few = replace(budget or self.budget, steps=2)
        nothing = self.nothing()
        self.plan(nothing, few)
        self._pace.forget()
        self.plan(nothing, few)

    def nothing(self) -> dict[str, Array]:
        """A history of zeros, as :meth:`plan` takes it: for measuring times."""
        kinds = {name: np.uint8 if name == "image" else np.float32 for name in self.sight.shapes}
        return {
            name: np.zeros((1, self.frames, *shape), kinds[name])
            for name, shape in self.sight.shapes.items()
        }

    # -------------------------------------------------------------- many at once

    def plan_seeds(self, episodes: Iterable[int], number: int) -> list[int]:
        """Seeds of the draws of each episode's plan of this number."""
        return row_seeds(self.seed, _PLANS + number, list(episodes)).tolist()

    def plan(
        self,
        observations: Histories,
        budget: Budget | None = None,
        *,
        seeds: Sequence[int] | None = None,
        deadline_ms: float | None = None,
    ) -> Plan:
        """Actions for B histories, each of ``frames`` observations, oldest first.

        Args:
            observations: histories, or their stack by name, arrays (B, frames, …).
            seeds: one of draws for each history.
            deadline_ms: for all of them together.

        Raises:
            UserError: observations or a budget that cannot be used.
        """
        began = time.perf_counter()
        if deadline_ms is not None and not deadline_ms > 0:
            raise UserError(f"a deadline is a positive number of milliseconds, got {deadline_ms}.")
        ends = None if deadline_ms is None else began + deadline_ms / 1000
        problem = self.sight.problem(self.sight.stacked(observations), self.run.device)
        prediction = self._think(problem, budget or self.budget, seeds, ends)
        taken = self._taken(prediction.output)
        actions = np.asarray(self.normaliser.decode("actions", taken).float().cpu().numpy())
        start = None if prediction.trace is None else prediction.trace.energies[0]
        unknown = np.full(len(actions), np.nan)
        return Plan(
            actions=actions,
            energy_start=unknown if start is None else _numbers(start),
            energy=_numbers(prediction.energy) if self.predictor.thinks else unknown,
            nfe=prediction.nfe.cpu().numpy(),
            diverged=prediction.diverged.cpu().numpy() | ~np.isfinite(actions).all((1, 2)),
            ms=1000 * (time.perf_counter() - began),
        )

    def spread(
        self,
        observations: Histories,
        samples: int,
        budget: Budget | None = None,
        *,
        seeds: Sequence[int] | None = None,
    ) -> Array:
        """How far ``samples`` plans for the same history lie apart, (B,).

        The variance over samples of the normalised actions that would be executed, mean over
        actions: what any model that draws can offer in place of an energy.

        Raises:
            UserError: as :meth:`plan`, or fewer than two samples.
        """
        if samples < 2:
            raise UserError(f"a spread needs at least 2 samples, got {samples}.")
        problem = self.sight.problem(self.sight.stacked(observations), self.run.device)
        rows = len(next(iter(problem.values())))
        many = {name: x.repeat_interleave(samples, 0) for name, x in problem.items()}
        own = self.plan_seeds(range(rows), 0) if seeds is None else seeds
        drawn = [s for one in own for s in row_seeds(one, _SAMPLES, range(samples)).tolist()]
        output = self._think(many, budget or self.budget, drawn).output
        taken = self._taken(output).unflatten(0, (rows, samples))
        return _numbers(taken.var(1).flatten(1).mean(1))

    # -------------------------------------------------------------- thinking

    def _taken(self, output: Tensor) -> Tensor:
        """The actions to execute: those before belong to frames that are past."""
        return output[:, self.frames - 1 : self.frames - 1 + self.execute]

    @torch.no_grad()
    def _think(
        self,
        problem: Mapping[str, Tensor],
        budget: Budget,
        seeds: Sequence[int] | None,
        ends: float | None = None,
    ) -> Prediction:
        """A prediction, by the time ``ends`` if there is one."""
        self.predictor.check(budget)
        rows = len(next(iter(problem.values())))
        given = self.plan_seeds(range(rows), 0) if seeds is None else seeds
        if len(given) != rows:
            raise UserError(f"{rows} histories need a seed each, got {len(given)}.")
        draws = [torch.Generator(self.run.device).manual_seed(one) for one in given]
        if budget.score and self.predictor.thinks:
            budget = replace(budget, trace=True)
        state = self.predictor.encode(problem)
        size, began = rows * budget.candidates, self._pace.now()
        if ends is not None:
            budget = self._pace.within(budget, ends - began, size)
        prediction: Prediction = self.predictor.predict_from(state, budget, draws)
        self._pace.note(size, self._pace.now() - began, prediction)
        return prediction if ends is None else self._pace.answer(prediction)


def require_policy(run: LoadedRun) -> None:
    """Refuse a run that does not act.

    Raises:
        UserError: it was trained on something else.
    """
    if not {"action_size", "chunk", "frames", "observations"} <= set(run.inputs):
        raise UserError(
            f"{run.folder} is a run on {run.recipe.data.part_name}, which does not act: train a "
            "recipe such as policy_point_ebt."
        )


def _executed(run: LoadedRun) -> int:
    """As many actions as its recipe says, or half of a chunk."""
    return getattr(run.recipe.data, "execute", max(1, int(run.inputs["chunk"]) // 2))


def _numbers(values: Tensor) -> Array:
    return values.double().cpu().numpy()


def load_policy(folder: str | Path, *, which: Which | int = "best", device: str = "auto") -> Policy:
    """Load a run that acts.

    Raises:
        UserError: see :meth:`Policy.load`.
    """
    return Policy.load(folder, which=which, device=device)
