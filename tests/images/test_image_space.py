"""Candidates that are pictures: where they start, how they move, how they are judged."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.assembly import build_predictor
from argmind.config import from_dict, part_config
from argmind.errors import UserError
from argmind.predictors.ebt import EBT
from argmind.recipes.base import Recipe, find_recipe
from argmind.spaces.image import psnr
from argmind.thinking.budget import Budget
from images.models import CHANNELS, SIDE, batch, ebt, seeded


def start(model: EBT, problem: dict[str, Tensor], candidates: int = 3) -> Tensor:
    return model.thinker.start(model.landscape(problem), candidates, seeded())


def test_thinking_starts_from_what_is_given() -> None:
    model, problem = ebt(thinking={"start_noise_std": 0.1}), {"given": batch()["given"]}
    first = start(model, problem)
    assert torch.equal(first[:, 0], problem["given"])
    moved = (first[:, 1:] - problem["given"][:, None]).std()
    assert 0.08 < moved < 0.12


def test_no_steps_leave_what_is_given() -> None:
    problem = {"given": 2 * batch()["given"]}
    said = ebt().predict(problem, Budget(steps=0))
    assert torch.equal(said.candidate, problem["given"])
    assert torch.equal(said.output, problem["given"].clamp(-1, 1))
    assert said.nfe.sum() == 0
    assert said.energy.isfinite().all()


def test_no_steps_from_noise_are_refused() -> None:
    with pytest.raises(UserError, match="starts from noise"):
        ebt(thinking={"start": "noise"}).predict({"given": batch()["given"]}, Budget(steps=0))


def test_a_first_guess_corrects_what_is_given() -> None:
    model = ebt({"context": "given", "guesses": True}, thinking={"start": "amortised"})
    problem = {"given": batch()["given"]}
    assert torch.equal(start(model, problem, 1)[:, 0], problem["given"])  # at zero, nothing
    torch.nn.init.normal_(model.space.guess.weight)  # type: ignore[union-attr]
    guess = start(model, problem, 1)[:, 0]
    assert not torch.allclose(guess, problem["given"])
    other = {"given": problem["given"].flip(0)}
    torch.testing.assert_close(start(model, other, 1)[:, 0], guess.flip(0))


@pytest.mark.parametrize("start", ["given", "noise", "zeros"])
def test_known_pixels_are_there_from_the_start(start: Any) -> None:
    model = ebt({"context": "given"}, thinking={"start": start})
    problem = {name: batch()[name] for name in ("given", "known")}
    trace = model.predict(problem, Budget(steps=2, trace=True), seeded()).trace
    assert trace is not None
    known = problem["known"].expand_as(problem["given"])
    for output in trace.outputs:
        assert torch.equal(output[known], problem["given"][known].clamp(-1, 1))


def test_what_is_unknown_is_not_looked_at() -> None:
    model = ebt({"context": "given"}, thinking={"start": "zeros"})
    problem = {name: batch()[name] for name in ("given", "known")}
    hidden = torch.where(problem["known"], problem["given"], problem["given"] + 1)
    before = model.predict(problem, Budget(steps=2)).output
    assert torch.equal(model.predict({**problem, "given": hidden}, Budget(steps=2)).output, before)


def test_a_step_of_one_goes_where_the_model_points() -> None:
    """If what the model makes of a candidate does not depend on it, one step is enough."""
    model = ebt()
    with torch.no_grad():
        model.space.candidate.linear.weight.zero_()  # type: ignore[union-attr]
        model.body.head.readout.weight.normal_()  # type: ignore[union-attr]
    said = model.predict({"given": batch()["given"]}, Budget(steps=3, trace=True))
    assert said.trace is not None
    torch.testing.assert_close(said.trace.outputs[1], said.trace.outputs[3])
    torch.testing.assert_close(said.energy, torch.zeros_like(said.energy), atol=1e-10, rtol=0)
    assert not torch.allclose(said.trace.outputs[0], said.trace.outputs[1])


@pytest.mark.parametrize(("unit", "patches"), [("patch", 4), ("none", 1)])
def test_a_step_is_counted_in_patches_or_not(unit: str, patches: int) -> None:
    space = ebt({"step_unit": unit, "clamp": "none"}).space
    y, delta = torch.zeros(1, 1, 1, SIDE, SIDE), torch.ones(1, 1, 1, SIDE, SIDE)
    assert torch.equal(space.move(y, y, delta), -patches * delta)


@pytest.mark.parametrize(
    ("clamp", "moved", "read"), [("decode", -4, -1), ("move", -1, -1), ("none", -4, -4)]
)
def test_where_pixels_are_brought_back(clamp: str, moved: float, read: float) -> None:
    space = ebt({"clamp": clamp}).space
    y = torch.zeros(1, 1, 1, SIDE, SIDE)
    after = space.move(y, y, torch.ones_like(y))
    assert torch.equal(after, torch.full_like(y, moved))
    assert torch.equal(space.decode(after), torch.full_like(y, read))


def test_losses_and_scores_are_those_of_single_pictures() -> None:
    clean = batch()["clean"]
    y = clean[:, None] + torch.tensor([0.1, 0.2])[:, None, None, None]
    target = clean
    for how, expected in (("mse", (0.01, 0.04)), ("smooth_l1", (0.005, 0.02))):
        space = ebt({"loss": how}).space
        losses = space.loss(y, target)
        assert losses.shape == (len(clean), 2)
        torch.testing.assert_close(losses, torch.tensor(expected).double().expand_as(losses))
        assert space.metric == how
    scored = space.scores(y[:, 0], target)["psnr"]
    torch.testing.assert_close(scored, torch.full_like(scored, 10 * math.log10(4 / 0.01)))
    assert psnr(clean, clean).isfinite().all()


def test_a_candidate_outside_the_box_is_called_back() -> None:
    y = torch.full((1, 1, CHANNELS, SIDE, SIDE), 3.0, requires_grad=True)
    loss = ebt().space.loss(y, torch.zeros(1, CHANNELS, SIDE, SIDE))
    (gradient,) = torch.autograd.grad(loss.sum(), y)
    assert (gradient > 0).all()


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("space", "thinking", "inputs", "complaint"),
    [
        ({"patch": 3}, {}, {}, "patches of 3: set predictor.space.patch to one of 1, 2, 4"),
        ({}, {"start": "amortised"}, {}, "makes no first guess"),
    ],
)
def test_models_that_cannot_be(space: Any, thinking: Any, inputs: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        ebt(space, thinking=thinking, inputs=inputs)


@pytest.mark.parametrize(
    ("space", "given", "complaint"),
    [
        ({"tell_level": True}, ("given",), "needs 'level'"),
        ({"context": "given"}, ("label",), "needs 'given'"),
        ({}, ("label",), "this problem gives none"),
    ],
)
def test_problems_that_lack_something(space: Any, given: Any, complaint: str) -> None:
    problem = {name: batch()[name] for name in given}
    with pytest.raises(UserError, match=complaint):
        ebt(space).predict(problem, Budget(steps=1))


def test_spaces_bodies_and_data_must_go_together() -> None:
    with pytest.raises(UserError, match="space 'image' and body 'two_stream' do not go together"):
        from_dict(Recipe, {"name": "x", "predictor": {"kind": "ebt", "space": "image"}})
    pictures = {"image_size": SIDE, "channels": 1, "classes": 0}
    with pytest.raises(UserError, match="space 'dual' is made for data that says its vocab_size"):
        build_predictor(find_recipe("text_ebt"), pictures)
    with pytest.raises(UserError, match="predictor 'transformer_pp' is made for"):
        build_predictor(find_recipe("text_transformer_pp"), pictures)
    with pytest.raises(UserError, match="space 'image' is made for"):
        build_predictor(find_recipe("image_denoise_ebt"), {"vocab_size": 7})


def test_a_first_guess_needs_something_to_guess_from() -> None:
    with pytest.raises(UserError, match="set context=given"):
        from_dict(type(part_config("space", "image")), {"guesses": True})
