"""Behaviour cloning: the mean of what was demonstrated, in one pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.errors import UserError
from argmind.predictors.policy_regression import PolicyRegression
from argmind.thinking.budget import Budget

from .rivals import CHUNK, INPUTS, batch, disturbed, learn, reach, rival, seeded, two_ways


def policy(inputs: dict[str, Any] = INPUTS, **options: Any) -> PolicyRegression:
    return disturbed(rival("policy_regression", inputs, **options))


def test_an_action_sees_no_frame_after_its_own():
    model = policy(INPUTS | {"frames": 3})

    def told(frames: Tensor) -> Tensor:
        return model.answer(model.encode({"state": frames}))

    seen = reach(told, torch.randn((3, 3, 3), generator=seeded()))
    assert torch.equal(seen, torch.ones(CHUNK, 3, dtype=torch.bool).tril())


def test_one_pass_whatever_the_budget():
    model = policy()
    problem, _ = model.task(batch())
    plain = model.predict(problem)
    for budget in (Budget(steps=0), Budget(steps=9, candidates=4, trace=True)):
        got = model.predict(problem, budget, seeded())
        assert torch.equal(got.output, plain.output)
        assert got.nfe.tolist() == [1] * 3
        assert got.steps.tolist() == [0] * 3
        assert got.trace is None
    assert not model.thinks
    assert (plain.energy == 0).all()


def test_answers_that_are_no_numbers_are_marked():
    model = policy()
    problem, _ = model.task(batch())
    problem["state"][1] = torch.nan
    assert model.predict(problem).diverged.tolist() == [False, True, False]


def test_the_loss_is_the_mean_squared_error():
    model = policy()
    objective = part_config("objective", "behaviour_cloning").build(model)
    asked = batch()
    loss = objective(asked, seeded())
    problem, target = model.task(asked)
    expected = (model.predict(problem).output - target).square().mean()
    torch.testing.assert_close(loss.value.detach(), expected)
    assert loss.metrics.keys() == {"mse"} == {objective.metric}
    assert loss.predictions == 3


def test_a_compiled_loss_is_the_plain_one():
    objective = part_config("objective", "behaviour_cloning").build(policy())
    plain = objective(batch(), seeded()).value
    for stage in objective.stages:
        stage.compile("eager")
    torch.testing.assert_close(objective(batch(), seeded()).value, plain)


def test_of_two_ways_it_takes_the_mean():
    model = rival("policy_regression")
    learn(part_config("objective", "behaviour_cloning").build(model), two_ways, 150)
    output = model.predict({"state": two_ways(10**6)["state"]}).output
    assert output.abs().mean() < 0.25


def test_what_is_observed_decides():
    def pointing(step: int) -> dict[str, Tensor]:
        """Every action is half the state's first number."""
        one = two_ways(step)
        way = one["state"][:, -1:, :1].clamp(-2, 2) / 2
        return {**one, "actions": way.expand_as(one["actions"])}

    model = rival("policy_regression")
    learn(part_config("objective", "behaviour_cloning").build(model), pointing, 250)
    problem, target = model.task(pointing(10**6))
    output = model.predict(problem).output[:, 1:]  # the first action has not seen it
    assert (output - target[:, 1:]).square().mean() < 0.2 * target.square().mean()


def test_it_is_as_large_as_the_diffusion_policy():
    sizes = []
    for name in ("policy_regression", "diffusion_policy"):
        with torch.device("meta"):
            model = part_config("predictor", name).build(
                None, action_size=2, chunk=16, frames=2, observations={"state": (20,)}
            )
        sizes.append(sum(weight.numel() for weight in model.parameters()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.001)


def test_another_number_of_frames_is_refused():
    with pytest.raises(UserError, match="the last 2 frames, and got 1"):
        policy().predict({"state": torch.zeros(2, 1, 3)})
