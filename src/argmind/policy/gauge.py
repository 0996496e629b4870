"""The energy of plans as a gauge: is this strange, will it fail, was it set right again?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from argmind.errors import UserError
from argmind.eval.statistics import Interval, auroc, bootstrap, bootstrap_mean, share
from argmind.policy.rollout import Planned, Rollout

Array = NDArray[Any]

#: What is read off a plan: the energy after thinking, that before, how far it fell, or (where it
#: was measured) how far samples lie apart.
Reading = Literal["energy", "start", "drop", "spread"]
READINGS: tuple[Reading, ...] = get_args(Reading)

_RESAMPLES = 1000


@dataclass(frozen=True)
class Window:
    """Which plans of an episode count: ``count`` of them, from the one at or after ``step`` on."""

    step: int = 0
    count: int | None = None

    def of(self, rollout: Rollout) -> list[Planned]:
        """Those of one episode."""
        later = [plan for plan in rollout.plans if plan.step >= self.step]
        return later[: self.count]


def readings(rollouts: Sequence[Rollout], reading: Reading, window: Window | None = None) -> Array:
    """The mean reading of every episode's plans, NaN where there is none."""
    window = window or Window()
    return np.array([_mean([_read(p, reading) for p in window.of(one)]) for one in rollouts])


def _read(plan: Planned, reading: Reading) -> float:
    if reading == "drop":
        return plan.energy_start - plan.energy
    return plan.energy_start if reading == "start" else getattr(plan, reading)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


# ------------------------------------------------------------------ strange observations


class Alarm(NamedTuple):
    """Says how strange an episode is: ``side · reading``, or how far it lies from ``centre``."""

    reading: Reading
    side: Literal[-1, 0, 1]  # low readings are strange, those far off either way, or high ones
    centre: float

    @property
    def formula(self) -> str:
        """In words."""
        return {-1: f"-{self.reading}", 0: f"|{self.reading} - usual|", 1: self.reading}[self.side]

    def scores(self, rollouts: Sequence[Rollout], window: Window | None = None) -> Array:
        """How strange every episode is; greater is stranger."""
        read = readings(rollouts, self.reading, window)
        return np.abs(read - self.centre) if self.side == 0 else self.side * read


@dataclass(frozen=True, kw_only=True)
class Detection:
    """How well strange episodes are told from usual ones.

    ``alarm`` was chosen on one half of the episodes and ``auroc`` measured on the other;
    ``every`` has what other formulas reach on that other half.
    """

    alarm: Alarm
    auroc: Interval
    every: dict[str, Interval]


def detect(
    usual: Sequence[Rollout],
    strange: Sequence[Rollout],
    among: Sequence[Reading] = ("energy", "start", "drop"),
    window: Window | None = None,
    seed: int = 0,
) -> Detection:
    """Choose a formula on every second episode and measure it on the others.

    Intervals are over episodes. ``window`` keeps lengths of episodes out of it: of those that fail
    there are more plans.

    Raises:
        UserError: fewer than two episodes of a kind, or no plan with such a reading.
    """
    if min(len(usual), len(strange)) < 2:
        raise UserError("a detector is chosen and measured on at least 2 episodes of each kind.")
    taught, fresh = (usual[::2], strange[::2]), (usual[1::2], strange[1::2])
    alarms = [alarm for reading in among for alarm in _alarms(taught[0], reading, window)]
    if not alarms:
        raise UserError(
            f"these plans have no {' or '.join(among)} to read: a model without an energy can only "
            "offer the spread of samples (samples=N)."
        )
    rng = np.random.default_rng(seed)
    every = {alarm.formula: _auroc(alarm, *fresh, window, rng) for alarm in alarms}
    chosen = max(alarms, key=lambda alarm: _told_apart(*_labelled(alarm, *taught, window)))
    return Detection(alarm=chosen, auroc=every[chosen.formula], every=every)


def _alarms(usual: Sequence[Rollout], reading: Reading, window: Window | None) -> list[Alarm]:
    read = readings(usual, reading, window)
    known = read[np.isfinite(read)]
    if not len(known):
        return []
    centre = float(np.median(known))
    return [Alarm(reading, side, centre) for side in (1, -1, 0)]


def _labelled(
    alarm: Alarm, usual: Sequence[Rollout], strange: Sequence[Rollout], window: Window | None
) -> tuple[Array, Array]:
    scores = np.concatenate([alarm.scores(usual, window), alarm.scores(strange, window)])
    labels = np.repeat([False, True], [len(usual), len(strange)])
    known = np.isfinite(scores)
    return scores[known], labels[known]


def _told_apart(scores: Array, labels: Array) -> float:
    found = auroc(scores, labels)
    return -1.0 if math.isnan(found) else found


def _auroc(
    alarm: Alarm,
    usual: Sequence[Rollout],
    strange: Sequence[Rollout],
    window: Window | None,
    rng: np.random.Generator,
) -> Interval:
    scores, labels = _labelled(alarm, usual, strange, window)
    if not len(scores):
        return Interval(math.nan)
    return bootstrap(auroc, scores, labels, generator=rng, resamples=_RESAMPLES)


def failure_auroc(
    rollouts: Sequence[Rollout],
    reading: Reading = "energy",
    window: Window | None = None,
    seed: int = 0,
) -> Interval:
    """How often a failed episode has the higher reading than a successful one; NaN without both."""
    read = readings(rollouts, reading, window)
    failed = np.array([not one.success for one in rollouts])
    known = np.isfinite(read)
    if not known.any():
        return Interval(math.nan)
    rng = np.random.default_rng(seed)
    return bootstrap(auroc, read[known], failed[known], generator=rng, resamples=_RESAMPLES)


# ------------------------------------------------------------------ retry


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What became of the episodes that a hand disturbed."""

    rate: Interval  # share of them that succeeded afterwards
    disturbed: int
    recovered: int
    #: Median number of steps from the disturbance to success; NaN where none succeeded.
    steps: float


def recovery(rollouts: Sequence[Rollout]) -> Recovery:
    """How often a policy succeeds after a disturbance; episodes over by then do not count.

    Raises:
        UserError: no episode was disturbed.
    """
    hit = [one for one in rollouts if one.perturbed_at is not None]
    if not hit:
        raise UserError(
            "no episode was disturbed: all were over before, or perturb_at was not asked for."
        )
    waits = [
        one.success_at - one.perturbed_at
        for one in hit
        if one.success_at is not None and one.perturbed_at is not None
    ]
    return Recovery(
        rate=share([one.success for one in hit]),
        disturbed=len(hit),
        recovered=len(waits),
        steps=float(np.median(waits)) if waits else math.nan,
    )


# ------------------------------------------------------------------ along the episode


class Course(NamedTuple):
    """The energy of the plans made at one step, over the episodes that got there."""

    step: int
    episodes: int
    before: Interval
    after: Interval


def course(rollouts: Sequence[Rollout], seed: int = 0) -> list[Course]:
    """Energies before and after thinking along the episodes; plans without any are left out."""
    rng = np.random.default_rng(seed)
    plans = [plan for one in rollouts for plan in one.plans if math.isfinite(plan.energy)]
    found: list[Course] = []
    for step in sorted({plan.step for plan in plans}):
        here = [plan for plan in plans if plan.step == step]
        before, after = (
            bootstrap_mean([getattr(plan, name) for plan in here], rng, resamples=500)
            for name in ("energy_start", "energy")
        )
        found.append(Course(step, len(here), before, after))
    return found


# ------------------------------------------------------------------ all episodes in figures


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What episodes come to."""

    episodes: int
    success: Interval
    score: Interval  # mean of the best in each episode
    nfe_per_action: float
    ms_per_action: float
    energy_start: float
    energy: float
    left_share: Interval | None  # of successful episodes with a route
    diverged: int


def summary(rollouts: Sequence[Rollout], seed: int = 0) -> Summary:
    """Success, score and cost over episodes; costs are means over all actions taken.

    Raises:
        UserError: there are none.
    """
    if not rollouts:
        raise UserError("there are no episodes to sum up.")
    actions = max(1, sum(one.steps for one in rollouts))
    plans = [plan for one in rollouts for plan in one.plans]
    ways = [one.route for one in rollouts if one.success and one.route]
    return Summary(
        episodes=len(rollouts),
        success=share([one.success for one in rollouts]),
        score=bootstrap_mean([one.score for one in rollouts], np.random.default_rng(seed)),
        nfe_per_action=sum(plan.nfe for plan in plans) / actions,
        ms_per_action=sum(plan.ms for plan in plans) / actions,
        energy_start=_mean([plan.energy_start for plan in plans]),
        energy=_mean([plan.energy for plan in plans]),
        left_share=share([way == "left" for way in ways]) if ways else None,
        diverged=sum(one.diverged for one in rollouts),
    )
