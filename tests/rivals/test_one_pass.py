"""Predictors that answer in one pass: the regression rival and the supervised classifier."""

from __future__ import annotations

import math

import pytest
import torch

from argmind.config import part_config
from argmind.errors import UserError
from argmind.spaces.image import pixel_loss
from argmind.thinking.budget import Budget
from rivals.pictures import BATCH, CLASSES, build, clean, hidden, noisy, seeded


def test_a_fresh_regression_changes_nothing() -> None:
    problem = noisy()
    model = build("regression", moved=False)
    assert torch.equal(model.answer(problem), problem["given"])
    moved = build("regression")
    assert not torch.isclose(moved.answer(problem), problem["given"]).any()


def test_a_regression_answers_in_one_pass_whatever_the_budget() -> None:
    model, problem = build("regression"), noisy()
    got = model.predict(problem, Budget(steps=9, candidates=4, trace=True), seeded())
    again = model.predict(problem)
    assert torch.equal(got.output, again.output)
    assert got.nfe.tolist() == [1] * BATCH
    assert got.steps.tolist() == [0] * BATCH
    assert got.output.abs().max() <= 1
    change = (model.answer(problem) - problem["given"]).square().flatten(1).mean(1)
    torch.testing.assert_close(got.energy, change)


def test_a_regression_keeps_what_is_known_and_sees_what_is_not() -> None:
    model, problem = build("regression"), hidden()
    known = problem["known"].expand_as(problem["given"])
    got = model.predict(problem)
    assert torch.equal(got.output[known], problem["given"][known])
    assert not torch.isclose(got.output, problem["given"])[~known].any()
    scribbled = {**problem, "given": torch.where(known, problem["given"], 0.7)}
    torch.testing.assert_close(
        (model.answer(scribbled) - scribbled["given"])[~known],
        (model.answer(problem) - problem["given"])[~known],
    )


def test_level_and_class_are_heard_where_they_are_told() -> None:
    problem = {**noisy(), "label": torch.tensor([0, 1, -1])}
    other = {**problem, "level": problem["level"] * 2, "label": torch.tensor([1, 1, 0])}
    deaf, hearing = build("regression"), build("regression", tell_level=True, tell_label=True)
    assert torch.equal(deaf.answer(problem), deaf.answer(other))
    for name in ("level", "label"):
        changed = {**problem, name: other[name]}
        differs = (hearing.answer(problem) != hearing.answer(changed)).flatten(1).any(1)
        assert differs.tolist() == (problem[name] != other[name]).tolist()


@pytest.mark.parametrize("loss", ["smooth_l1", "mse"])
def test_a_regression_learns_the_loss_it_is_judged_by(loss: str) -> None:
    model = build("regression", loss=loss)
    batch = {"clean": clean(), **noisy()}
    found = part_config("objective", "regression").build(model)(batch, seeded())
    output = model.answer(noisy())
    torch.testing.assert_close(found.value, pixel_loss(output, clean(), loss).mean())  # type: ignore[arg-type]
    assert set(found.metrics) == {loss, "psnr"}
    assert not found.metrics[loss].requires_grad


def test_nothing_given_is_refused() -> None:
    with pytest.raises(UserError, match="needs 'given'"):
        build("regression").predict({"label": torch.zeros(2, dtype=torch.long)})
    with pytest.raises(UserError, match="needs 'level'"):
        build("regression", tell_level=True).predict({"given": clean()})


def test_a_fresh_classifier_knows_nothing() -> None:
    model = build("classifier", moved=False)
    batch = {"clean": clean(), "label": torch.tensor([0, 1, 2])}
    problem, target = model.task(batch)
    got = model.predict(problem)
    torch.testing.assert_close(got.energy, torch.full((BATCH,), math.log(CLASSES)).double())
    torch.testing.assert_close(model.loss(got.output, target), got.energy)
    assert model.scores(got.output, target)["accuracy"].tolist() == [1, 0, 0]


def test_a_classifier_learns_cross_entropy() -> None:
    model = build("classifier")
    batch = {"clean": clean(), "label": torch.tensor([0, 1, 2])}
    found = part_config("objective", "classification").build(model)(batch, seeded())
    log_p = model.answer({"given": clean()}).log_softmax(-1)
    torch.testing.assert_close(found.value, -log_p.diagonal().mean())
    assert set(found.metrics) == {"nats", "accuracy"}


def test_a_classifier_needs_classes_and_is_not_told_them() -> None:
    with pytest.raises(UserError, match="with classes"):
        build("classifier", inputs={"channels": 1, "image_size": 8, "classes": 0})
    with pytest.raises(UserError, match="learns nothing"):
        build("classifier", tell_label=True)
