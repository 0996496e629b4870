"""Energies of plans as a gauge, on episodes whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from argmind.errors import UserError
from argmind.eval.statistics import auroc
from argmind.policy.gauge import (
    Window,
    course,
    detect,
    failure_auroc,
    readings,
    recovery,
    summary,
)
from argmind.policy.rollout import Planned, Rollout, rollouts

from .tiny import Stand, ebt, point, policy_of

NAN = math.nan


def episode(energies: Sequence[float], start: float = 2.0, spread: float = NAN, **rest) -> Rollout:
    plans = [
        Planned(8 * number, start, energy, nfe=4, ms=3.0, spread=spread)
        for number, energy in enumerate(energies)
    ]
    return Rollout(**{"seed": 0, "steps": 8 * len(plans), "plans": plans, **rest})


def drawn(mean: float, count: int = 40, scale: float = 1.0, seed: int = 0) -> list[Rollout]:
    rng = np.random.default_rng(seed)
    return [episode(rng.normal(mean, scale, 3)) for _ in range(count)]


# ------------------------------------------------------------------ readings


def test_readings_are_means_over_the_plans_of_a_window() -> None:
    episodes = [episode([1.0, 2.0, 6.0], spread=0.5), episode([4.0]), episode([])]

    def read(name, window=None):
        return [None if x != x else x for x in readings(episodes, name, window).tolist()]

    assert read("energy") == [3, 4, None]
    assert read("start") == [2, 2, None]
    assert read("drop") == [-1, -2, None]
    assert read("spread") == [0.5, None, None]
    assert read("energy", Window(step=8)) == [4, None, None]
    assert read("energy", Window(step=1)) == [4, None, None]
    assert read("energy", Window(count=1)) == [1, 4, None]
    assert read("energy", Window(step=8, count=1)) == [2, None, None]


# ------------------------------------------------------------------ strange observations


@pytest.mark.parametrize(("mean", "formula"), [(2.5, "energy"), (-2.5, "-energy")])
def test_a_detector_finds_the_side(mean: float, formula: str) -> None:
    found = detect(drawn(0.0), drawn(mean, seed=1), among=("energy",))
    assert found.alarm.formula == formula
    assert found.auroc.value > 0.95
    assert found.auroc == found.every[formula]
    assert set(found.every) == {"energy", "-energy", "|energy - usual|"}
    other = {"energy": "-energy", "-energy": "energy"}[formula]
    assert found.every[other].value == pytest.approx(1 - found.auroc.value)


def test_a_detector_of_what_lies_far_off_either_way() -> None:
    strange = drawn(5.0, seed=1, count=20) + drawn(-5.0, seed=2, count=20)
    rng = np.random.default_rng(0)
    strange = [strange[i] for i in rng.permutation(40)]
    found = detect(drawn(0.0), strange, among=("energy",))
    assert found.alarm.formula == "|energy - usual|"
    assert found.auroc.value > 0.95
    assert found.every["energy"].value < 0.8


def test_a_detector_chooses_on_other_episodes_than_it_is_measured_on() -> None:
    # On the episodes for choosing the energy tells all; on the others the start does.
    told = [episode([float(k)], start=0.0) for k in (0, 10)]
    usual = [told[0], episode([10.0], start=0.0)] * 10
    strange = [told[1], episode([0.0], start=0.0)] * 10
    found = detect(usual, strange, among=("energy",))
    assert found.alarm.formula == "energy"
    assert found.auroc.value == 0.0


def test_chance_is_within_the_interval_of_a_detector_that_cannot_tell() -> None:
    found = detect(drawn(0.0, count=60), drawn(0.0, count=60, seed=3))
    assert found.auroc.low is not None
    assert found.auroc.high is not None
    assert found.auroc.low < 0.5 < found.auroc.high


def test_the_interval_is_over_episodes_of_the_other_half() -> None:
    usual, strange = drawn(0.0), drawn(1.0, seed=1)
    found = detect(usual, strange, among=("energy",))
    scores = np.concatenate([readings(x[1::2], "energy") for x in (usual, strange)])
    assert found.every["energy"].value == auroc(scores, np.repeat([False, True], 20))
    assert found.auroc.low is not None
    assert found.auroc.high is not None
    assert found.auroc.low < found.auroc.value < found.auroc.high
    assert found == detect(usual, strange, among=("energy",))  # and so is the random part


def test_a_detector_by_the_spread_where_there_is_no_energy() -> None:
    usual = [episode([NAN, NAN], start=NAN, spread=0.1 + k / 100) for k in range(10)]
    strange = [episode([NAN, NAN], start=NAN, spread=0.5 + k / 100) for k in range(10)]
    with pytest.raises(UserError, match="can only offer the spread"):
        detect(usual, strange)
    found = detect(usual, strange, among=("energy", "spread"))
    assert found.alarm.reading == "spread"
    assert found.auroc.value == 1.0
    with pytest.raises(UserError, match="at least 2 episodes"):
        detect(usual[:1], strange)


def test_failure() -> None:
    failed = [episode([float(k)]) for k in range(5, 15)]
    good = [episode([float(k)], success_at=8) for k in range(10)]
    found = failure_auroc([*failed, *good])
    wanted = auroc([*range(5, 15), *range(10)], [True] * 10 + [False] * 10)
    assert found.value == wanted
    assert found.low is not None
    assert math.isnan(failure_auroc(good).value)
    assert math.isnan(failure_auroc([episode([NAN])]).value)


# ------------------------------------------------------------------ retry


def test_recovery_counts_disturbed_episodes_alone() -> None:
    hit = [episode([1.0], perturbed_at=10, success_at=at) for at in (30, 50, 20, None)]
    spared = [episode([1.0], success_at=5), episode([1.0])]
    found = recovery([*hit, *spared])
    assert (found.disturbed, found.recovered) == (4, 3)
    assert found.rate.value == 0.75
    assert found.rate.low is not None
    assert found.rate.high is not None
    assert found.rate.low < 0.75 < found.rate.high
    assert found.steps == 20
    none = recovery([episode([1.0], perturbed_at=1)])
    assert none.rate.value == 0
    assert math.isnan(none.steps)
    with pytest.raises(UserError, match="no episode was disturbed"):
        recovery(spared)


# ------------------------------------------------------------------ in figures


def test_course() -> None:
    found = course([episode([1.0, 5.0]), episode([3.0]), episode([NAN], start=NAN)])
    assert [(at.step, at.episodes) for at in found] == [(0, 2), (8, 1)]
    assert (found[0].before.value, found[0].after.value) == (2, 2)
    assert (found[0].after.low, found[0].after.high) == (1, 3)
    assert found[1].after.value == 5
    assert found[1].after.low is None


def test_summary() -> None:
    episodes = [
        episode([1.0, 2.0], score=0.5, success_at=16, route="left"),
        episode([3.0], score=1.0, success_at=8, route="right"),
        episode([6.0], score=0.0, route="left"),
        episode([4.0], score=0.1, diverged=True, steps=0),
    ]
    found = summary(episodes)
    assert found.episodes == 4
    assert found.success.value == 0.5
    assert found.score.value == pytest.approx(0.4)
    assert found.left_share is not None
    assert found.left_share.value == 0.5  # of those that succeeded
    assert found.nfe_per_action == 5 * 4 / 32
    assert found.ms_per_action == 5 * 3 / 32
    assert found.energy == pytest.approx(16 / 5)
    assert found.energy_start == 2
    assert found.diverged == 1
    assert summary([episode([1.0])]).left_share is None
    assert math.isnan(summary([episode([NAN])]).energy)
    with pytest.raises(UserError, match="no episodes"):
        summary([])


# ------------------------------------------------------------------ the real thing


def test_noise_on_the_state_is_noticed_by_a_model_whose_energy_is_the_state() -> None:
    policy = policy_of(Stand())  # its energy is the second entry of what it sees

    def shifted(observation, rng):  # noqa: ARG001
        return {**observation, "state": observation["state"] + 1.0}

    seeds = range(8)
    usual = rollouts(policy, point, seeds)
    strange = rollouts(policy, point, seeds, corrupt=shifted)
    found = detect(usual, strange, window=Window(count=1))
    assert found.auroc.value == 1.0
    assert found.alarm.reading in ("energy", "start")


def test_a_thinking_model_has_all_readings() -> None:
    done = rollouts(policy_of(ebt()), point, range(4), samples=3)
    for name in ("energy", "start", "drop", "spread"):
        assert np.isfinite(readings(done, name)).all()
    assert (readings(done, "drop") > 0).all()
    assert (readings(done, "spread") > 0).all()
