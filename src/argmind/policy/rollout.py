"""Policies in their environments: many episodes side by side, with a record of every plan."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from argmind.data.order import row_seeds
from argmind.errors import UserError
from argmind.policy.environments.base import Environment, Observation
from argmind.policy.policy import Floats, Plan, Policy
from argmind.policy.sight import History
from argmind.thinking.budget import Budget

Array = NDArray[Any]
Pixels = NDArray[np.uint8]
#: What stands between an environment and a policy: the observation, with draws of the episode.
Corrupt = Callable[[Observation, np.random.Generator], Observation]

_HAND, _CORRUPTION = 0xA4D, 0xC0B
#: In longer episodes only every second, third … step is drawn.
_MOST_PICTURES = 150


class Planned(NamedTuple):
    """One plan of an episode."""

    step: int  # of the environment, when it was made
    energy_start: float
    energy: float
    nfe: int
    ms: float  # its share of the time that plans made together took
    spread: float  # of samples, NaN where none were asked for


@dataclass(kw_only=True)
class Rollout:
    """One episode: how it went, and what was thought on the way.

    ``score`` is the best of the episode; ``success_at`` the step after which it had succeeded,
    which ends it; ``perturbed_at`` the step before which a hand disturbed it, None where it was
    over by then.
    """

    seed: int
    score: float = 0.0
    success_at: int | None = None
    route: str = ""
    steps: int = 0
    perturbed_at: int | None = None
    diverged: bool = False
    plans: list[Planned] = field(default_factory=list[Planned])
    #: States seen, (Ds,) each, the first included.
    states: list[Floats] = field(default_factory=list[Floats])
    #: Pictures where they were asked for, and the steps after which they were taken.
    pictures: list[Pixels] = field(default_factory=list[Pixels])
    pictured: list[int] = field(default_factory=list[int])

    @property
    def success(self) -> bool:
        """Was the task done?"""
        return self.success_at is not None

    @property
    def nfe_per_action(self) -> float:
        """Evaluations of the network for every action taken."""
        return sum(plan.nfe for plan in self.plans) / max(1, self.steps)

    @property
    def ms_per_action(self) -> float:
        """Time of planning for every action taken."""
        return sum(plan.ms for plan in self.plans) / max(1, self.steps)

    def plain(self) -> dict[str, Any]:
        """As JSON data, without states and pictures."""
        return {
            "seed": self.seed,
            "success": self.success,
            "success_at": self.success_at,
            "score": self.score,
            "route": self.route,
            "steps": self.steps,
            "perturbed_at": self.perturbed_at,
            "diverged": self.diverged,
            "plans": [plan._asdict() for plan in self.plans],
        }


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How episodes are run.

    ``at_once``: so many environments side by side, whose plans are made together; with a deadline
    every plan is made alone, since the deadline is its own. ``perturb_at``: before this step a hand
    disturbs the episode. ``samples``: the spread of so many plans is measured beside each plan, or
    beside those made at steps in ``samples_at``. ``pictures``: the first so many episodes are
    drawn. ``corrupt``: what becomes of observations on their way to the policy.
    """

    budget: Budget | None = None
    deadline_ms: float | None = None
    at_once: int = 50
    perturb_at: int | None = None
    samples: int = 0
    samples_at: Container[int] | None = None
    pictures: int = 0
    corrupt: Corrupt | None = None

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ValueError(f"at_once must be at least 1, got {self.at_once}")
        if self.perturb_at is not None and self.perturb_at < 0:
            raise ValueError(f"perturb_at is a step, at least 0, got {self.perturb_at}")
        if self.samples == 1 or self.samples < 0:
            raise ValueError(f"samples must be 0 or at least 2, got {self.samples}")


def rollouts(
    policy: Policy,
    make_environment: Callable[[], Environment],
    seeds: Sequence[int],
    budget: Budget | None = None,
    *,
    on_done: Callable[[int], None] | None = None,
    **settings: Any,
) -> list[Rollout]:
    """An episode for every seed, as the fields of :class:`RolloutConfig` say.

    What happens in an episode is a function of its seed and the policy, not of those beside it.

    Args:
        on_done: told how many episodes are over.

    Raises:
        UserError: the environment is not the policy's, or has nothing to be disturbed.
    """
    try:
        config = RolloutConfig(budget=budget, **settings)
    except ValueError as error:
        raise UserError(f"rollouts: {error}.") from error
    if not len(seeds):
        raise UserError("rollouts need at least one seed.")
    policy.predictor.check(budget or policy.budget)
    worlds = [make_environment()]
    finished: list[Rollout] = []
    try:
        require_fitting(policy, worlds[0])
        if config.perturb_at is not None:  # refused now rather than in mid-episode
            worlds[0].reset(seeds[0])
            worlds[0].perturb(_rng(seeds[0], _HAND))
        if config.deadline_ms is not None:
            policy.warm_up(budget)
        for first in range(0, len(seeds), config.at_once):
            part = seeds[first : first + config.at_once]
            worlds += [make_environment() for _ in range(len(part) - len(worlds))]
            drawn = config.pictures - first
            episodes = [
                _Episode(world, seed, policy, config, number < drawn)
                for number, (world, seed) in enumerate(zip(worlds, part, strict=False))
            ]
            for over in _side_by_side(policy, episodes, config):
                if on_done is not None:
                    on_done(first + over)
            finished += [episode.record for episode in episodes]
    finally:
        for world in worlds:
            world.close()
    return finished


def require_fitting(policy: Policy, environment: Environment) -> None:
    """Refuse an environment that shows or takes something else than the policy was trained on.

    Raises:
        UserError: naming what differs.
    """
    actions = len(environment.action_low)
    if actions != policy.action_size:
        raise UserError(
            f"actions of '{environment.name}' have {actions} numbers, and those of "
            f"{policy.run.folder} have {policy.action_size}: it was trained on something else."
        )
    shapes = environment.observation_shapes
    shown = {
        name: np.zeros(
            (*shape[1:], shape[0]) if name == "image" else shape,
            np.uint8 if name == "image" else np.float32,
        )
        for name, shape in shapes.items()
    }
    try:
        policy.sight.checked(shown)
    except UserError as error:
        raise UserError(
            f"the environment '{environment.name}' as it is set up is not what "
            f"{policy.run.folder} was trained on: {error}"
        ) from error


def _side_by_side(
    policy: Policy, episodes: Sequence[_Episode], config: RolloutConfig
) -> Iterator[int]:
    """Run episodes to their ends, telling how many are over."""
    number = 0
    while going := [episode for episode in episodes if not episode.over]:
        groups = [going] if config.deadline_ms is None else [[episode] for episode in going]
        for group in groups:
            _plan(policy, group, number, config)
        for episode in going:
            episode.carry_out()
        number += 1
        yield sum(episode.over for episode in episodes)


def _plan(policy: Policy, episodes: Sequence[_Episode], number: int, config: RolloutConfig) -> None:
    histories = [episode.history.frames for episode in episodes]
    seeds = policy.plan_seeds([episode.record.seed for episode in episodes], number)
    plan = policy.plan(histories, config.budget, seeds=seeds, deadline_ms=config.deadline_ms)
    spread = np.full(len(episodes), np.nan)
    asked, step = config.samples_at, episodes[0].record.steps
    if config.samples and (asked is None or step in asked):
        spread = policy.spread(histories, config.samples, config.budget, seeds=seeds)
    for row, episode in enumerate(episodes):
        episode.take(plan, row, float(spread[row]))


class _Episode:
    """An episode on its way."""

    def __init__(
        self, world: Environment, seed: int, policy: Policy, config: RolloutConfig, drawn: bool
    ) -> None:
        self.world, self.policy, self.config = world, policy, config
        self._every = math.ceil(world.max_steps / _MOST_PICTURES) if drawn else 0
        self.record = Rollout(seed=seed)
        self.history = History(policy.frames)
        self.over = False
        self._noise = _rng(seed, _CORRUPTION)
        self._actions: deque[Floats] = deque()
        observation, _ = world.reset(seed)
        self._see(observation)

    def take(self, plan: Plan, row: int, spread: float) -> None:
        """The plan's actions are next; one that diverged ends the episode, undone."""
        record = self.record
        record.plans.append(
            Planned(
                step=record.steps,
                energy_start=float(plan.energy_start[row]),
                energy=float(plan.energy[row]),
                nfe=int(plan.nfe[row]),
                ms=plan.ms / len(plan.energy),
                spread=spread,
            )
        )
        record.diverged = self.over = bool(plan.diverged[row])
        self._actions.extend(() if self.over else plan.actions[row])

    def carry_out(self) -> None:
        """Do what was planned, or as much of it as the episode has left."""
        while self._actions and not self.over:
            self._step(self._actions.popleft())
        self._actions.clear()

    def _step(self, action: Floats) -> None:
        record = self.record
        if record.steps == self.config.perturb_at:
            self.world.perturb(_rng(record.seed, _HAND))
            record.perturbed_at = record.steps
        observation, _, terminated, truncated, info = self.world.step(action)
        record.steps += 1
        record.score = max(record.score, float(info["score"]))
        record.route = str(info.get("route", ""))
        if info["success"]:
            record.success_at = record.steps
        self.over = bool(info["success"] or terminated or truncated)
        self._see(observation)

    def _see(self, observation: Observation) -> None:
        record = self.record
        record.states.append(np.array(observation["state"], np.float32))
        if self._every and (self.over or record.steps % self._every == 0):
            record.pictures.append(self.world.render())
            record.pictured.append(record.steps)
        if self.config.corrupt is not None:
            observation = self.config.corrupt(observation, self._noise)
        self.history.add(self.policy.sight.checked(observation))


def _rng(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(int(row_seeds(seed, purpose, [0])[0])))
