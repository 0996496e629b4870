"""What must hold of every next-frame model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.errors import UserError
from argmind.nn.frames import FrameEmbedding, FrameReadout
from argmind.predictors.ebt import EBT
from argmind.predictors.frame_diffusion import FrameDiffusion
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig
from conformance.second_order import check_energy, check_training_through_thinking
from conformance.test_flops import counted
from video.clips import (
    BATCH,
    CHANNELS,
    LENGTH,
    MODELS,
    OBJECTIVES,
    SIDE,
    TINY,
    build,
    build_objective,
    clips,
    seeded,
)

every = pytest.mark.parametrize("name", MODELS)
objectives = pytest.mark.parametrize("name", OBJECTIVES)


def rows(problem: dict[str, Tensor], index: list[int]) -> dict[str, Tensor]:
    return {name: tensor[index] for name, tensor in problem.items()}


@every
def test_shapes(name: str) -> None:
    model = build(name)
    problem, target = model.task(clips())
    got = model.predict(problem, Budget(steps=2, candidates=3, trace=True), seeded())
    assert got.output.shape == target.shape == (BATCH, LENGTH, CHANNELS, SIDE, SIDE)
    for each in (got.energy, got.steps, got.nfe, got.diverged, model.loss(got.output, target)):
        assert each.shape == (BATCH, LENGTH)
    assert model.scores(got.output, target)["psnr"].shape == (BATCH, LENGTH)
    assert got.output.abs().max() <= 2
    torch.testing.assert_close(problem["frames"] + target, clips()["frames"][:, 1:])
    assert model.extent(problem) == (BATCH, LENGTH)
    if got.trace is not None:
        assert len(got.trace.outputs) == len(got.trace.energies) == 3
        assert all(output.shape == target.shape for output in got.trace.outputs)


@every
def test_a_later_frame_or_action_changes_no_earlier_prediction(name: str) -> None:
    model = build(name)
    problem, _ = model.task(clips())
    before = model.predict(problem, Budget(steps=2), seeded()).candidate
    for what in ("frames", "actions"):
        for at in range(LENGTH):
            changed = {**problem, what: problem[what].clone()}
            changed[what][:, at] += 0.5
            after = model.predict(changed, Budget(steps=2), seeded()).candidate
            moved = (after - before).abs().flatten(2).amax((0, 2))
            assert (moved[:at] < 1e-12).all()
            assert (moved[at:] > 1e-9).all()


@every
def test_what_follows_the_last_frame_alone(name: str) -> None:
    model = build(name)
    problem, _ = model.task(clips())
    with torch.no_grad():
        state = model.encode(problem, last_only=True)
    got = model.predict_from(state, Budget(steps=2), seeded())
    assert got.output.shape == (BATCH, 1, CHANNELS, SIDE, SIDE)
    if name != "frame_diffusion":  # it would draw other numbers
        whole = model.predict(problem, Budget(steps=2))
        torch.testing.assert_close(got.output[:, 0], whole.output[:, -1])
        torch.testing.assert_close(got.energy[:, 0], whole.energy[:, -1])


@every
def test_neighbours_in_a_batch_do_not_matter(name: str) -> None:
    model = build(name)
    problem, _ = model.task(clips())
    budget = Budget(steps=2, candidates=2)
    whole = model.predict(problem, budget, [seeded(5) for _ in range(BATCH)])
    for row in range(BATCH):
        alone = model.predict(rows(problem, [row]), budget, [seeded(5)])
        torch.testing.assert_close(alone.output[0], whole.output[row])
        torch.testing.assert_close(alone.energy[0], whole.energy[row])
    kept = model.keep(model.encode(problem), torch.tensor([2, 0]))
    again = model.predict_from(kept, budget, [seeded(5) for _ in range(2)])
    torch.testing.assert_close(again.output, whole.output[[2, 0]])
    torch.testing.assert_close(again.energy, whole.energy[[2, 0]])


@every
def test_a_model_that_is_told_actions_asks_for_them(name: str) -> None:
    problem, _ = build(name).task(clips())
    del problem["actions"]
    with pytest.raises(UserError, match="needs 'actions'"):
        build(name).predict(problem, Budget(steps=1))
    free = build(name, actions=0)
    told, _ = free.task(clips())
    assert torch.equal(
        free.predict(told, Budget(steps=1), seeded()).output,
        free.predict(problem, Budget(steps=1), seeded()).output,
    )


@pytest.mark.parametrize("shared", [True, False])
def test_energies_are_twice_differentiable_and_thinking_is_trained_through(shared: bool) -> None:
    model = build("ebt", shared=shared, level=shared)
    assert isinstance(model, EBT)
    check_energy(model, {name: x[:1, :3] for name, x in clips().items()})
    check_training_through_thinking(model, {name: x[:2, :3] for name, x in clips().items()})


def test_an_energy_is_half_the_mean_squared_error_it_foresees_and_a_step_goes_there() -> None:
    """With the quadratic head reading zeros: ``½ mean y²`` of a change y, a step of 1 to none."""
    model = build("ebt", shared=False, level=False)
    assert isinstance(model, EBT)
    torch.nn.init.zeros_(model.body.head.readout.weight)  # type: ignore[union-attr]
    problem, target = model.task(clips())
    landscape = model.landscape(problem)
    slope = landscape.slope(target[:, None], 0, graph=False)
    want = 0.5 * target.square().flatten(2).mean(2)
    torch.testing.assert_close(slope.energy[:, 0], want)
    moved = landscape.move(target[:, None], slope.point, slope.gradient)
    torch.testing.assert_close(moved, torch.zeros_like(moved), rtol=0, atol=1e-12)


def test_a_head_that_adds_nothing_to_the_guess_is_at_rest_there() -> None:
    """``E = ½ mean (y − g(ĥ + W h))²`` is 0 at g(ĥ) with W = 0, and half a squared error else."""
    model = build("ebt", level=False)
    assert isinstance(model, EBT)
    problem, target = model.task(clips())
    state = model.encode(problem)
    hidden = model.body.hidden(state)
    assert hidden is not None
    guess = model.space.amortised(hidden)
    embedding = model.space.embed(guess[:, None])
    head: Any = model.body.head
    anything = torch.randn(hidden[:, None].shape, dtype=hidden.dtype)
    moved = head.score(anything, embedding, hidden[:, None])
    assert moved.min() > 1e-6
    torch.nn.init.zeros_(head.addition.weight)
    assert head.score(anything, embedding, hidden[:, None]).abs().max() < 1e-20
    other = head.score(anything, model.space.embed(target[:, None]), hidden[:, None])
    want = 0.5 * (target - guess).square().flatten(2).mean(2)
    torch.testing.assert_close(other[:, 0], want)


def test_a_body_without_a_guess_at_hand_refuses_a_head_that_adds_to_it() -> None:
    head = part_config("head", "quadratic", readout="guess")
    body = part_config("body", "bidirectional", head=head)
    with pytest.raises(UserError, match=r"head\.readout=guess adds .* body 'bidirectional'"):
        body.build(1, True, 8)


@pytest.mark.parametrize(
    ("level", "guesses", "said"),
    [
        (True, False, "space 'frames' as it is set up makes none"),
        (False, True, "thinking starts without one: set thinking.start=amortised"),
    ],
)
def test_a_guess_can_be_added_to_only_where_there_is_one(
    level: bool, guesses: bool, said: str
) -> None:
    head = part_config("head", "quadratic", readout="guess")
    body = part_config("body", "two_stream", transformer=TINY, head=head, level=level)
    space = part_config("space", "frames", guesses=guesses)
    config = part_config("predictor", "ebt", space=space, body=body)
    inputs = {"image_size": SIDE, "channels": CHANNELS, "frames": LENGTH + 1}
    with pytest.raises(UserError, match=said):
        config.build(ThinkingConfig(start="zeros"), **inputs)


def test_a_part_of_the_predictions_has_the_energies_it_has_among_all() -> None:
    model = build("ebt")
    problem, target = model.task(clips())
    landscape = model.landscape(problem)  # type: ignore[attr-defined]
    y, active = target[:, None], torch.zeros(BATCH, LENGTH, dtype=torch.bool)
    active[0], active[2, -1] = True, True
    whole = landscape.slope(y, 0, graph=False).energy
    narrower = landscape.narrow(active)
    assert narrower is not None
    fewer, chosen = narrower
    torch.testing.assert_close(
        fewer.slope(chosen.take(y), 0, graph=False).energy, chosen.take(whole)
    )
    assert len(chosen.take(whole)) == 2


def test_a_head_that_knows_the_frame_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("frame_diffusion")
    assert isinstance(model, FrameDiffusion)
    problem, target = model.task(clips())

    def tell(x: Tensor, time: Tensor, hidden: Tensor) -> Tensor:
        assert x.shape[:2] == (BATCH * LENGTH, 2)
        assert len(hidden) == len(x)
        scales = model.process.scales(time, x)
        return (x - scales.data * target.flatten(0, 1)[:, None]) / scales.noise

    monkeypatch.setattr(model, "tell", tell)
    got = model.predict(problem, Budget(steps=4, candidates=2), seeded())
    torch.testing.assert_close(got.output, target, rtol=1e-6, atol=1e-6)
    assert (got.nfe == 8).all()
    assert (got.steps == 4).all()


def test_a_diffusion_head_needs_steps_and_a_sampler_of_its_kind() -> None:
    problem, _ = build("frame_diffusion").task(clips())
    with pytest.raises(UserError, match="at least 1 step"):
        build("frame_diffusion").predict(problem, Budget(steps=0))
    with pytest.raises(ValueError, match="ddpm or ddim"):
        part_config("predictor", "frame_diffusion", sampler="heun")
    with pytest.raises(ValueError, match="head_layers"):
        part_config("predictor", "frame_diffusion", head_layers=0)


@pytest.mark.parametrize("part", [FrameEmbedding, FrameReadout])
def test_frames_that_do_not_divide_are_refused(part: type) -> None:
    with pytest.raises(UserError, match="one of 1, 2, 5, 10"):
        part(10, 1, 4, 8)


# ---------------------------------------------------------------------- learning


def gradients(name: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    objective = build_objective(name).train()
    loss = objective(batch, seeded())
    assert loss.value.shape == ()
    assert not any(metric.requires_grad for metric in loss.metrics.values())
    weights = dict(objective.predictor.named_parameters())
    found = torch.autograd.grad(loss.value, list(weights.values()), allow_unused=True)
    assert all(gradient is not None for gradient in found)
    return dict(zip(weights, found, strict=True))


@objectives
def test_every_weight_learns(name: str) -> None:
    for weight, gradient in gradients(name, clips()).items():
        assert gradient.abs().max() > 0, weight


@objectives
def test_the_generator_decides_everything(name: str) -> None:
    objective = build_objective(name).train()
    first = objective(clips(), seeded(7)).value
    torch.manual_seed(99)
    assert torch.equal(objective(clips(), seeded(7)).value, first)
    one = objective.eval().evaluate(clips(), seeded(7))
    assert objective.metric in one.metrics
    assert torch.equal(one.value, objective.evaluate(clips(), seeded(7)).value)


def test_a_regression_learns_every_next_frame() -> None:
    objective = build_objective("next_frame")
    problem, target = objective.predictor.task(clips())
    output = objective.predictor.answer(objective.predictor.encode(problem))
    loss = objective(clips(), seeded())
    torch.testing.assert_close(loss.value, objective.predictor.loss(output, target).mean())


@pytest.mark.parametrize("name", ["frame_regression", "frame_diffusion"])
def test_prediction_costs_what_it_says(name: str) -> None:
    model = build(name)
    problem, _ = model.task(clips())
    budget = Budget(steps=3, candidates=2)
    # The stream's attention is executed over masked pairs too, which the formula leaves out.
    masked = 4.0 * 8 * 2 * (LENGTH**2 - LENGTH * (LENGTH + 1) / 2)
    found = counted(lambda: model.predict(problem, budget, seeded()))
    formula = BATCH * (model.prediction_flops(LENGTH, budget) + masked)
    assert found == pytest.approx(formula, rel=0.02)


def test_an_energy_model_counts_reading_and_guessing_frames() -> None:
    model = build("ebt")
    problem, _ = model.task(clips())
    budget = Budget(steps=2)
    found = counted(lambda: model.predict(problem, budget, seeded()))
    assert found == pytest.approx(BATCH * model.prediction_flops(LENGTH, budget), rel=0.1)
