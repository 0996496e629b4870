"""Episodes side by side."""

from __future__ import annotations

import math

import numpy as np
import pytest

from argmind.errors import UserError
from argmind.policy.corruption import camera_noise, state_noise
from argmind.policy.environments.base import Environment
from argmind.policy.policy import Policy
from argmind.policy.rollout import Rollout, rollouts
from argmind.thinking.budget import Budget

from .tiny import PICTURED, Stand, ebt, point, policy_of


class Line(Environment):
    """Its first state entry counts steps, its second is the last action's second number.

    Success after ``goal`` steps; the score rises to its middle and falls again.
    """

    name = "line"  # type: ignore[assignment]
    max_steps = 20  # type: ignore[assignment]
    state_size = 8
    action_low = np.full(2, -1, np.float32)
    action_high = np.full(2, 1, np.float32)
    observation_shapes = {"state": (8,)}  # type: ignore[assignment]  # noqa: RUF012

    def __init__(self, goal: int = 100) -> None:
        self.goal, self.moved, self.closed = goal, 0.0, False
        self.taken: list[np.ndarray] = []

    def _seen(self) -> dict[str, np.ndarray]:
        state = np.zeros(8, np.float32)
        state[0], state[2] = len(self.taken), self.moved
        return {"state": state}

    def reset(self, seed: int):
        self.taken, self.moved, self.seed = [], 0.0, seed
        return self._seen(), {"success": False, "score": 1.0}

    def step(self, action):
        self.taken.append(np.array(action))
        count = len(self.taken)
        info = {
            "success": count == self.goal + self.seed,
            "score": 0.5 - abs(count - 10) / 20,
            "route": "left" if count > 3 else "",
        }
        return self._seen(), 0.0, False, count >= 20, info

    def perturb(self, rng: np.random.Generator) -> None:
        self.moved += float(rng.uniform(1, 2))

    def close(self) -> None:
        self.closed = True


def alone(policy: Policy, environment: Environment, seed: int) -> tuple[list, list]:
    """An episode as a user's own loop would have it: actions and observations."""
    policy.reset(seed)
    observation, _ = environment.reset(seed)
    actions, seen, over = [], [observation["state"]], False
    while not over:
        actions.append(policy.act(observation))
        observation, _, terminated, truncated, info = environment.step(actions[-1])
        seen.append(observation["state"])
        over = terminated or truncated or info["success"]
    return actions, seen


@pytest.mark.parametrize("at_once", [1, 2, 3, 50])
def test_episodes_are_those_of_a_loop_over_act(at_once: int) -> None:
    policy = policy_of(ebt())
    done = rollouts(policy, point, [7, 3, 11, 4, 5], Budget(steps=2), at_once=at_once)
    assert [one.seed for one in done] == [7, 3, 11, 4, 5]
    for one in done:
        actions, seen = alone(policy_of(ebt(), budget=Budget(steps=2)), point(), one.seed)
        assert one.steps == len(actions)
        assert np.allclose(one.states, seen, atol=1e-4)


def test_what_is_recorded() -> None:
    policy = policy_of(Stand(), budget=Budget(steps=4, candidates=2))
    first, second = rollouts(policy, lambda: Line(goal=10), [0, 3])
    assert (first.success, first.success_at, first.steps) == (True, 10, 10)
    assert (second.success, second.success_at, second.steps) == (True, 13, 13)
    assert first.score == pytest.approx(0.5)
    assert second.score == pytest.approx(0.5)  # the best, not the last
    assert first.route == "left"
    assert [plan.step for plan in first.plans] == [0, 8]
    assert [plan.nfe for plan in first.plans] == [8, 8]
    assert first.nfe_per_action == 1.6
    assert first.plans[0].energy_start - first.plans[0].energy == pytest.approx(1)
    assert math.isnan(first.plans[0].spread)
    assert first.perturbed_at is None
    assert len(first.states) == 11
    assert first.pictures == []
    assert first.plain()["plans"][1]["step"] == 8
    failed = rollouts(policy, Line, [0])[0]
    assert (failed.success, failed.success_at, failed.steps) == (False, None, 20)


def test_plans_are_batched_and_time_is_shared() -> None:
    model = Stand(step_s=0.001)
    done = rollouts(policy_of(model), Line, range(4))
    assert model.rows == [4, 4, 4]
    assert sum(one.ms_per_action * one.steps for one in done) >= 3 * 20
    model = Stand()
    rollouts(policy_of(model), Line, range(4), deadline_ms=50.0)
    assert model.rows == [1] * (2 + 12)  # each has a deadline of its own; and two to warm up
    assert model.asked[-1].deadline_s is not None
    model = Stand()
    rollouts(policy_of(model), lambda: Line(goal=2), [0, 7, 100])
    assert model.rows == [3, 2, 1]  # those that are over take no part


def test_environments_are_made_once_each_and_closed() -> None:
    made: list[Line] = []

    def make() -> Line:
        made.append(Line())
        return made[-1]

    told: list[int] = []
    rollouts(policy_of(Stand()), make, range(5), at_once=2, on_done=told.append)
    assert len(made) == 2
    assert all(world.closed for world in made)
    assert told[-1] == 5
    assert told == sorted(told)
    made.clear()
    with pytest.raises(UserError):
        rollouts(policy_of(Stand(), inputs=PICTURED), make, range(5))
    assert [world.closed for world in made] == [True]


def test_a_hand_disturbs_the_same_way_whatever_the_policy() -> None:
    found = [
        rollouts(policy_of(Stand(noise=noise)), Line, [4, 5], perturb_at=3) for noise in (0, 1)
    ]
    for one, other in zip(*found, strict=True):
        assert one.perturbed_at == 3
        moved = [state[2] for state in one.states]
        assert moved == [state[2] for state in other.states]
        assert moved[:4] == [0] * 4
        assert moved[4] > 1
    assert found[0][0].states[4][2] != found[0][1].states[4][2]  # by episode
    over = rollouts(policy_of(Stand()), lambda: Line(goal=2), [0], perturb_at=3)[0]
    assert over.perturbed_at is None
    assert rollouts(policy_of(Stand()), Line, [0], perturb_at=0)[0].perturbed_at == 0


def test_the_point_can_be_disturbed() -> None:
    policy = policy_of(Stand())
    calm, upset = (rollouts(policy, point, [3], perturb_at=at)[0] for at in (None, 9))
    assert np.array_equal(calm.states[:10], upset.states[:10])
    assert np.linalg.norm((calm.states[10] - upset.states[10])[:2]) > 0.1


def test_a_policy_sees_noise_and_the_environment_does_not() -> None:
    model = Stand()
    policy = policy_of(model, execute=1)
    shown: list[np.ndarray] = []
    problem = policy.sight.problem
    policy.sight.problem = lambda stacked, device: (  # type: ignore[method-assign]
        shown.append(stacked["state"]) or problem(stacked, device)
    )
    done = rollouts(policy, Line, [1, 2], corrupt=state_noise(policy, 0.5))
    noise = np.stack([frames[0, -1] for frames in shown]) - done[0].states[:-1]
    # States span ±2 where the network's numbers span ±1.
    assert noise.std() == pytest.approx(1.0, rel=0.2)
    assert [state[0] for state in done[0].states] == list(range(21))
    other = np.stack([frames[1, -1] for frames in shown]) - done[1].states[:-1]
    assert not np.allclose(noise, other)
    again = rollouts(policy, Line, [2], corrupt=state_noise(policy, 0.5))
    assert again[0].seed == 2
    assert np.allclose(shown[-1][0, -1] - again[0].states[-2], other[-1])


def test_noise_of_a_camera() -> None:
    seen = {"state": np.zeros(8), "image": np.full((32, 32, 3), 128, np.uint8)}
    rng = np.random.default_rng(0)
    noisy = camera_noise(0.1)(seen, rng)
    assert noisy["image"].dtype == np.uint8
    assert noisy["image"].std() == pytest.approx(25.5, rel=0.1)
    assert noisy["image"].mean() == pytest.approx(128, abs=2)
    assert noisy["state"] is seen["state"]
    assert np.array_equal(camera_noise(0.0)(seen, rng)["image"], seen["image"])
    wild = camera_noise(5.0)(seen, rng)["image"]
    assert (wild == 0).mean() + (wild == 255).mean() > 0.8  # clipped, not wrapped
    with pytest.raises(UserError, match="at least 0"):
        camera_noise(-0.1)


def test_pictures_of_the_first_episodes() -> None:
    done = rollouts(policy_of(Stand()), point, range(3), at_once=2, pictures=2)
    assert [len(one.pictures) for one in done] == [21, 21, 0]
    assert done[0].pictures[0].shape[-1] == 3
    assert done[0].pictured == list(range(21))
    assert not np.array_equal(done[0].pictures[0], done[0].pictures[-1])


def test_long_episodes_are_drawn_by_some_of_their_steps() -> None:
    class Long(Line):
        max_steps = 400  # type: ignore[assignment]

        def render(self, size: int = 256) -> np.ndarray:
            return np.zeros((size, size, 3), np.uint8)

    (one,) = rollouts(policy_of(Stand()), lambda: Long(goal=11), [0], pictures=1)
    assert one.pictured == [0, 3, 6, 9, 11]
    assert len(one.pictures) == 5


def test_the_spread_of_samples_beside_every_plan() -> None:
    done = rollouts(policy_of(Stand(noise=0.2)), Line, [1, 2], samples=5)
    spreads = [plan.spread for one in done for plan in one.plans]
    assert len(set(spreads)) == len(spreads)
    assert all(0 < spread < 0.2 for spread in spreads)


def test_the_spread_of_samples_at_some_steps_alone() -> None:
    policy = policy_of(Stand(noise=0.2))
    every, some = (
        rollouts(policy, Line, [1, 2], samples=5, samples_at=steps)
        for steps in (None, range(8, 16))
    )
    for all_plans, few_plans in zip(every, some, strict=True):
        assert len(few_plans.plans) > 2
        for plan, other in zip(all_plans.plans, few_plans.plans, strict=True):
            assert other.step == plan.step
            assert other.spread == plan.spread if plan.step == 8 else math.isnan(other.spread)


def test_an_episode_whose_thinking_diverges_is_lost_alone() -> None:
    class Jump(Line):
        def _seen(self):
            seen = super()._seen()
            seen["state"][1] = 5.0 if self.seed == 1 and len(self.taken) >= 8 else 0.0
            return seen

    policy = policy_of(Stand(nan_above=1.0))
    fine, lost = rollouts(policy, lambda: Jump(goal=15), [0, 1])
    assert fine.success
    assert not fine.diverged
    assert (lost.diverged, lost.success, lost.steps) == (True, False, 8)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"at_once": 0}, "at_once must be at least 1"),
        ({"perturb_at": -1}, "perturb_at is a step"),
        ({"samples": 1}, "at least 2"),
        ({"deadline_ms": -1.0}, "deadline"),
    ],
)
def test_settings_that_do_not_fit(settings: dict, match: str) -> None:
    with pytest.raises(UserError, match=match):
        rollouts(policy_of(Stand()), Line, [0], **settings)


def test_environments_that_do_not_fit() -> None:
    def refused(match: str, policy: Policy, make=Line, seeds=(0,), **settings) -> None:
        with pytest.raises(UserError, match=match):
            rollouts(policy, make, seeds, **settings)

    refused("lacks 'image'", policy_of(Stand(), inputs=PICTURED))
    refused("has 'image', which", policy_of(Stand()), lambda: point(pixels=True))
    wide = {**PICTURED, "observations": {"state": [5]}}
    refused(r"shape \(8,\); the policy was trained on \(5,\)", policy_of(Stand(), inputs=wide))
    three = {**PICTURED, "action_size": 3, "observations": {"state": [8]}}
    refused("have 2 numbers, and those of nowhere have 3", policy_of(Stand(), inputs=three))
    refused("at least one seed", policy_of(Stand()), seeds=())
    refused("0 thinking steps", policy_of(ebt()), budget=Budget(steps=0))

    class Firm(Line):
        def perturb(self, rng: np.random.Generator) -> None:  # noqa: ARG002
            raise UserError("nothing to move here")

    policy = policy_of(model := Stand())
    refused("nothing to move", policy, Firm, perturb_at=19)
    assert not model.asked  # before any planning


def test_an_empty_record_divides_by_nothing() -> None:
    assert Rollout(seed=0).ms_per_action == 0
    assert Rollout(seed=0).nfe_per_action == 0
