"""A policy as users meet it: observations in, actions out."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from argmind.errors import UserError
from argmind.policy.deadline import DEADLINE_STEPS
from argmind.policy.policy import Policy, load_policy
from argmind.thinking.budget import Budget

from .tiny import PICTURED, STATE, Stand, ebt, models, policy_of


def seen(first: float = 0.0, second: float = 0.0) -> dict[str, np.ndarray]:
    state = np.zeros(STATE, np.float32)
    state[:2] = first, second
    return {"state": state}


# ------------------------------------------------------------------ acting


def test_which_actions_of_a_chunk_are_executed_and_when_it_plans_again() -> None:
    model = Stand()
    policy = policy_of(model, execute=3)
    policy.reset()
    taken = [policy.act(seen(first=0.2 * step)) for step in range(7)]
    # Row 0 of a chunk belongs to the oldest frame: rows 1, 2, 3 are executed, in the
    # environment's units, which are half of the network's here.
    assert [round(32 * float(action[0])) for action in taken] == [1, 2, 3, 1, 2, 3, 1]
    told = [float(action[1]) for action in taken]
    at_plans = [0.0] * 3 + [0.6] * 3 + [1.2]
    assert told == pytest.approx([0.5 * state / 2 for state in at_plans])
    assert len(model.asked) == 3
    assert taken[0].dtype == np.float32
    assert taken[0].shape == (2,)


def test_the_frames_before_a_plan_are_consecutive_and_the_first_is_repeated() -> None:
    policy = policy_of(Stand(), execute=4)
    policy.reset()
    shown: list[tuple[float, float]] = []
    stacked = policy.sight.stacked

    def spy(observations):
        found = stacked(observations)
        shown.append(tuple(found["state"][0, :, 0].tolist()))
        return found

    policy.sight.stacked = spy  # type: ignore[method-assign]
    for step in range(9):
        policy.act(seen(first=step))
    assert shown == [(0, 0), (3, 4), (7, 8)]
    policy.reset()
    policy.act(seen(first=5))
    assert shown[-1] == (5, 5)


def test_an_episode_is_a_function_of_its_seed() -> None:
    policy = policy_of(ebt())

    def actions(seed: int) -> np.ndarray:
        policy.reset(seed)
        return np.stack([policy.act(seen(step / 10)) for step in range(12)])

    first = actions(3)
    assert np.array_equal(first, actions(3))
    assert not np.allclose(first, actions(4))
    assert not np.allclose(first[0], first[8])  # another plan, another draw
    other = policy_of(ebt(), seed=1)
    other.reset(3)
    assert not np.allclose(first[0], other.act(seen(0.0)))


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("model", ["ebt", "diffusion", "regression"])
def test_a_plan_does_not_depend_on_those_beside_it(model: str, candidates: int) -> None:
    policy = policy_of(models()[model])
    rng = np.random.default_rng(0)
    stacked = {"state": rng.normal(size=(5, 2, STATE)).astype(np.float32)}
    budget = Budget(steps=3, candidates=candidates)
    together = policy.plan(stacked, budget, seeds=[4, 5, 6, 7, 8])
    assert together.actions.shape == (5, 8, 2)
    for row in range(5):
        one = {"state": stacked["state"][row : row + 1]}
        alone = policy.plan(one, budget, seeds=[4 + row])
        assert np.allclose(alone.actions[0], together.actions[row], atol=1e-5)
        assert np.allclose(alone.energy[0], together.energy[row], atol=1e-5, equal_nan=True)
        starts = alone.energy_start[0], together.energy_start[row]
        assert np.allclose(*starts, atol=1e-5, equal_nan=True)
        assert alone.nfe[0] == together.nfe[row] == (1 if model == "regression" else 3 * candidates)
    assert np.isnan(together.energy).all() == (model == "regression")
    as_histories = [[{"state": frame} for frame in rows] for rows in stacked["state"]]
    again = policy.plan(as_histories, budget, seeds=[4, 5, 6, 7, 8])
    assert np.array_equal(again.actions, together.actions)


def test_energies_before_and_after_are_those_of_the_way() -> None:
    policy = policy_of(ebt(size=5.0))
    stacked = {"state": np.ones((2, 2, STATE), np.float32)}
    plan = policy.plan(stacked, Budget(steps=4))
    problem = policy.sight.problem(stacked, torch.device("cpu"))
    draws = [torch.Generator().manual_seed(seed) for seed in policy.plan_seeds(range(2), 0)]
    answer = policy.predictor.predict(problem, Budget(steps=4, trace=True), draws)
    assert plan.energy_start.tolist() == answer.trace.energies[0].double().tolist()
    assert plan.energy.tolist() == answer.energy.double().tolist()
    assert (plan.energy < plan.energy_start).all()
    unscored = policy.plan(stacked, Budget(steps=4, score=False))
    assert np.isnan(unscored.energy_start).all()
    assert np.allclose(unscored.actions, plan.actions)


def test_spread_is_the_variance_of_samples() -> None:
    stacked = {"state": np.zeros((3, 2, STATE), np.float32)}
    assert policy_of(Stand()).spread(stacked, 4).tolist() == [0.0] * 3
    # One of two numbers of an action has variance 0.3².
    assert policy_of(models()["regression"]).spread(stacked, 3).tolist() == [0.0] * 3
    assert (policy_of(models()["diffusion"]).spread(stacked, 3) > 0).all()
    spread = policy_of(Stand(noise=0.3)).spread(stacked, 200, seeds=[1, 2, 3])
    assert spread == pytest.approx([0.09 / 2] * 3, rel=0.3)
    again = policy_of(Stand(noise=0.3)).spread({"state": stacked["state"][1:2]}, 200, seeds=[2])
    assert again[0] == pytest.approx(spread[1])
    with pytest.raises(UserError, match="at least 2"):
        policy_of(Stand()).spread(stacked, 1)


def test_pictures_reach_the_model_in_their_range() -> None:
    policy = policy_of(Stand(), inputs=PICTURED)
    image = np.zeros((16, 16, 3), np.uint8)
    image[0, 1] = (255, 0, 51)
    stacked = policy.sight.stacked([[{**seen(), "image": image}] * 2])
    problem = policy.sight.problem(stacked, torch.device("cpu"))
    assert problem["image"].shape == (1, 2, 3, 16, 16)
    assert problem["image"][0, 0, :, 0, 1].tolist() == pytest.approx([1, -1, -0.6])


# ------------------------------------------------------------------ deadlines


class Clock:
    """Time that passes only where something is said to take it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s

    monotonic = perf_counter

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    from argmind.policy import deadline as of_deadline
    from argmind.policy import policy as of_policy
    from argmind.thinking import think as of_think

    from . import tiny

    found = Clock()
    for module in (of_deadline, of_policy, of_think, tiny):
        monkeypatch.setattr(module, "time", found)
    return found


def slow(policy: Policy, clock: Clock, step_s: float, encode_s: float) -> list[int]:
    """Every energy takes ``step_s``, reading observations ``encode_s``; returns the energies."""
    body, taken = policy.predictor.body, [0]
    encode, energy = body.encode, body.energy

    def slow_encode(*args, **settings):
        clock.sleep(encode_s)
        return encode(*args, **settings)

    def slow_energy(*args, **settings):
        clock.sleep(step_s)
        taken[0] += 1
        return energy(*args, **settings)

    body.encode, body.energy = slow_encode, slow_energy
    return taken


@pytest.mark.parametrize("deadline_ms", [40.0, 65.0, 200.0])
def test_it_thinks_as_long_as_it_may_and_no_longer(clock: Clock, deadline_ms: float) -> None:
    policy = policy_of(ebt())
    slow(policy, clock, step_s=0.005, encode_s=0.01)
    policy.warm_up()
    policy.reset()
    for step in range(3):
        began = clock.now_s
        policy._queue.clear()
        policy.act(seen(step / 10), deadline_ms=deadline_ms)
        took_ms = 1000 * (clock.now_s - began)
        assert took_ms <= deadline_ms + 1e-6
        assert took_ms > deadline_ms - 15.1  # not two steps more would have been done


def test_a_deadline_without_a_number_of_steps_goes_beyond_those_trained(clock: Clock) -> None:
    policy = policy_of(ebt())
    slow(policy, clock, step_s=0.001, encode_s=0.0)
    policy.warm_up()
    nothing = policy.nothing()
    assert policy.plan(nothing, deadline_ms=20.0).nfe[0] > 10
    assert policy.plan(nothing, deadline_ms=1e6).nfe[0] == DEADLINE_STEPS
    assert policy.plan(nothing, Budget(steps=3), deadline_ms=1e6).nfe[0] == 3
    assert policy.plan(nothing, deadline_ms=1e-3).nfe[0] == 1  # one step in any case


def test_the_best_so_far_is_returned(clock: Clock) -> None:
    policy = policy_of(ebt(size=3000.0))  # far too long steps: energies go up and down
    slow(policy, clock, step_s=0.001, encode_s=0.0)
    problem = policy.nothing()
    plan = policy.plan(problem, Budget(steps=12), seeds=[5], deadline_ms=1e6)
    way = policy.predictor.predict(
        policy.sight.problem(problem, torch.device("cpu")),
        Budget(steps=12, trace=True),
        [torch.Generator().manual_seed(5)],
    ).trace
    energies = [float(energy[0]) for energy in way.energies[1:]]
    best = int(np.argmin(energies))
    assert best < len(energies) - 1  # else nothing is tested
    assert plan.energy[0] == energies[best]
    wanted = 0.5 * way.outputs[1 + best][0, 1:9].numpy()
    assert np.allclose(plan.actions[0], wanted, atol=1e-6)
    plain = policy.plan(problem, Budget(steps=12), seeds=[5])
    assert plain.energy[0] == energies[-1]  # without a deadline the last, as trained


def test_a_sampler_is_given_the_steps_that_there_is_time_for(clock: Clock) -> None:
    model = Stand(step_s=0.004)
    policy = policy_of(model)
    policy.warm_up()
    began = clock.now_s
    policy.plan(policy.nothing(), deadline_ms=42.0)
    assert clock.now_s - began <= 0.042
    assert model.asked[-1].steps == 10
    policy.plan(policy.nothing(), deadline_ms=1e6)
    assert model.asked[-1].steps == 20
    policy.plan(policy.nothing(), Budget(steps=5), deadline_ms=1e6)
    assert model.asked[-1].steps == 5


@pytest.mark.parametrize("model", ["ebt", "diffusion", "regression"])
def test_every_model_answers_within_any_deadline(model: str) -> None:
    policy = policy_of(models()[model])
    policy.warm_up()
    for deadline_ms in (1e-3, 1e4):
        plan = policy.plan(policy.nothing(), deadline_ms=deadline_ms)
        assert np.isfinite(plan.actions).all()
    most = {"ebt": DEADLINE_STEPS, "diffusion": 10, "regression": 1}[model]
    assert 1 <= plan.nfe[0] <= most
    assert policy.plan(policy.nothing(), deadline_ms=1e-3).nfe[0] == 1


def test_real_time() -> None:
    policy = policy_of(ebt())
    policy.warm_up()
    began = time.perf_counter()
    plan = policy.plan(policy.nothing(), replace(Budget(), steps=10**6), deadline_ms=300.0)
    took_s = time.perf_counter() - began
    assert plan.nfe[0] > 1
    assert took_s < 3  # a million steps take minutes


@pytest.mark.usefixtures("clock")
def test_no_thinking_while_there_are_actions_left() -> None:
    model = Stand(step_s=1.0)
    policy = policy_of(model)
    policy.reset()
    for _ in range(8):
        policy.act(seen(), deadline_ms=1.0)
    assert len(model.asked) == 1


# ------------------------------------------------------------------ what is refused


def refused(match: str, act) -> None:
    with pytest.raises(UserError, match=match):
        act()


def test_observations_that_do_not_fit() -> None:
    policy = policy_of(Stand(), inputs=PICTURED)
    state, image = seen()["state"], np.zeros((16, 16, 3), np.uint8)

    def act(**observation):
        return lambda: policy.act(observation)

    refused("lacks 'image'.*trained on 'state', 'image'", act(state=state))
    refused(
        "has 'depth', 'force', which the policy does not know",
        act(state=state, image=image, depth=image, force=state),
    )
    refused("Did you mean 'state'", act(states=state, image=image))
    refused(
        r"'state' has shape \(7,\); the policy was trained on \(8,\)",
        act(state=state[:7], image=image),
    )
    refused(r"shape \(3, 16, 16\)", act(state=state, image=image.transpose(2, 0, 1)))
    refused("holds float32: give pixels", act(state=state, image=image.astype(np.float32)))
    refused("no finite number", act(state=state * np.nan, image=image))
    refused("no finite number", act(state=np.full(8, "a"), image=image))
    assert policy.act({"state": torch.zeros(8), "image": image}).shape == (2,)
    assert policy.act({"state": [0.0] * 8, "image": image}).shape == (2,)


def test_histories_that_do_not_fit() -> None:
    policy = policy_of(Stand())
    refused("looks at 2 frames, and a history has 3", lambda: policy.plan([[seen()] * 3]))
    refused("nothing to plan for", lambda: policy.plan([]))
    refused("nothing to plan for", lambda: policy.plan({"state": np.zeros((0, 2, 8))}))
    refused(r"shape \(4, 3, 8\)", lambda: policy.plan({"state": np.zeros((4, 3, 8))}))
    refused("lacks 'state'", lambda: policy.plan({}))
    refused("need a seed each, got 1", lambda: policy.plan([[seen()] * 2] * 2, seeds=[1]))
    for deadline_ms in (0.0, -1.0, float("nan")):
        refused("deadline", lambda ms=deadline_ms: policy.plan([[seen()] * 2], deadline_ms=ms))


def test_settings_that_do_not_fit() -> None:
    refused("has 1 to 15 to execute, not 16", lambda: policy_of(Stand(), execute=16))
    refused("not 0", lambda: policy_of(Stand(), execute=0))
    refused("0 thinking steps", lambda: policy_of(ebt(), budget=Budget(steps=0)))
    refused("which does not act", lambda: policy_of(Stand(), inputs={"vocab_size": 3}))
    assert policy_of(Stand(), execute=15).plan([[seen()] * 2]).actions.shape == (1, 15, 2)


def test_no_action_where_thinking_left_the_finite_numbers() -> None:
    policy = policy_of(Stand(nan_above=0.5))
    refused("left the finite numbers", lambda: policy.act(seen(second=2.0)))
    stacked = {"state": np.zeros((2, 2, STATE), np.float32)}
    stacked["state"][1, :, 1] = 2.0
    assert policy.plan(stacked).diverged.tolist() == [False, True]


def test_no_such_run(tmp_path: Path) -> None:
    refused("there is no run folder", lambda: load_policy(tmp_path / "nothing"))
    refused("no run folder: it has no recipe.json", lambda: load_policy(tmp_path))
