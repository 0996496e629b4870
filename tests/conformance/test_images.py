"""What must hold of every part that image models are made of, and of the models as a whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.objectives._field import FieldObjective
from argmind.objectives.base import Objective
from argmind.predictors.base import Prediction
from argmind.predictors.ebt import EBT
from argmind.registry import find
from argmind.spaces.image import ImageSpace
from argmind.thinking.budget import Budget
from conformance.parts import (
    BATCH,
    CHANNELS,
    CLASSES,
    MODEL_KINDS,
    SIDE,
    STEPS,
    THINKING_KINDS,
    Case,
    budget,
    build,
    build_ebt,
    build_objective,
    candidates,
    cases,
    images,
    predictor_config,
)
from conformance.second_order import check_energy, check_training_through_thinking
from conformance.test_flops import counted

MODELS = cases(*MODEL_KINDS, domain="image")
every = pytest.mark.parametrize("case", [*MODELS, *cases(*THINKING_KINDS, domain="image")], ids=str)
models = pytest.mark.parametrize("case", MODELS, ids=str)
energy_models = pytest.mark.parametrize(
    "case", [case for case in MODELS if predictor_config(case).owner is EBT], ids=str
)
#: Fused attention hides its products from a counter.
MEASURED = cases("space", "body", "head", "feedforward", "norm", domain="image")
objectives = pytest.mark.parametrize("case", cases("objective", domain="image"), ids=str)


def some(batch: dict[str, Tensor], index: Any) -> dict[str, Tensor]:
    return {name: rows[index] for name, rows in batch.items()}


def pictures(model: Any) -> bool:
    """Does it answer with pictures, or with classes?"""
    return model.metric != "nats"


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every
def test_shapes(case: Case) -> None:
    model, batch = build(case), images()
    problem, target = model.task(batch)
    got = model.predict(problem, budget(case, candidates=2, trace=True), seeded())
    assert len(got.output) == len(target) == BATCH
    for each in (got.energy, got.steps, got.nfe, got.diverged):
        assert each.shape == (BATCH,)
    assert got.output.dtype == got.energy.dtype == torch.float64
    assert not got.diverged.any()
    assert not got.output.requires_grad
    if got.trace is not None:
        assert all(output.shape == got.output.shape for output in got.trace.outputs)
        assert all(energy.shape == got.energy.shape for energy in got.trace.energies)
    if isinstance(model, EBT):
        assert got.output.shape == target.shape == (BATCH, CHANNELS, SIDE, SIDE)
    assert model.loss(got.output, target).shape == (BATCH,)
    assert all(score.shape == (BATCH,) for score in model.scores(got.output, target).values())


@every
def test_the_order_of_a_batch_does_not_matter_nor_its_company(case: Case) -> None:
    model, asked = build(case), budget(case, candidates=2)
    problem, _ = model.task(images())

    def predict(index: list[int]) -> Prediction:
        drawing = [seeded(5) for _ in index]
        return model.predict(some(problem, index), asked, drawing)

    whole = predict([0, 1, 2])
    for index in ([2, 0, 1], [0], [1], [2]):
        got = predict(index)
        torch.testing.assert_close(got.output, whole.output[index], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(got.energy, whole.energy[index], rtol=1e-9, atol=1e-10)
        assert torch.equal(got.nfe, whole.nfe[index])


@every
def test_weights_carry_everything(case: Case) -> None:
    model, other = build(case, seed=0), build(case, seed=1)
    problem, _ = model.task(images())

    def said(by: Any) -> Tensor:
        return by.predict(problem, budget(case), seeded()).output

    assert not torch.equal(said(model), said(other))
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert not other.load_state_dict(weights).missing_keys
    assert torch.equal(said(model), said(other))


@every
def test_known_pixels_never_move(case: Case) -> None:
    model, batch = build(case), images()
    if not pictures(model):
        return
    problem, _ = model.task(batch)
    got = model.predict(problem, budget(case, candidates=2, noisy=True), seeded())
    known = batch["known"].expand_as(got.candidate)
    assert torch.equal(got.candidate[known], batch["given"][known])
    assert not torch.equal(got.candidate[~known], batch["given"][~known])


@energy_models
def test_every_pixel_and_every_told_thing_matters(case: Case) -> None:
    """Each given pixel moves the whole answer; level and label do where they are to be told."""
    model, batch = build_ebt(case), images()
    del batch["known"]
    told, _ = model.task(batch)

    def said(problem: dict[str, Tensor]) -> Tensor:
        return model.predict(problem, budget(case), seeded()).candidate

    before = said(told)
    for row, column in ((0, 0), (SIDE - 1, SIDE // 2)):
        changed = told["given"].clone()
        changed[..., row, column] += 0.1
        moved = (said({**told, "given": changed}) - before).abs().amax((0, 1))
        assert (moved > 0).all()
    other = {"level": told["level"] + 0.1, "label": (told["label"] + 2) % CLASSES}
    for name, value in other.items():
        assert isinstance(model.space, ImageSpace)
        is_told = getattr(model.space.config, f"tell_{name}")
        assert torch.equal(said({**told, name: value}), before) == (not is_told)


@energy_models
def test_no_gradient_leaks_between_problems_or_candidates(case: Case) -> None:
    model = build_ebt(case)
    state = model.encode(model.task(images(batch=2))[0])
    y = candidates(model, 2, 2).requires_grad_()
    energies = model.body.energy(state, model.space.embed(model.space.point(y, 0)), 0)
    assert energies.shape == (2, 2)
    for b, n in ((0, 0), (0, 1), (1, 1)):
        (to_y,) = torch.autograd.grad(energies[b, n], y, retain_graph=True)
        felt = to_y.abs() > 0
        assert felt[b, n].all()
        assert felt.sum() == felt[b, n].sum()


@energy_models
def test_candidates_together_equal_candidates_alone(case: Case) -> None:
    model = build_ebt(case)
    problem, _ = model.task(images())
    y = candidates(model, BATCH, 3)
    together = model.thinker.think(model.landscape(problem), budget(case), start=y)
    assert together.energy is not None
    for n in range(3):
        alone = model.thinker.think(model.landscape(problem), budget(case), start=y[:, n : n + 1])
        assert alone.energy is not None
        torch.testing.assert_close(alone.candidate[:, 0], together.candidate[:, n])
        torch.testing.assert_close(alone.energy[:, 0], together.energy[:, n])


@energy_models
@pytest.mark.parametrize("index", [[2, 0], [1]])
def test_some_problems_of_a_state(case: Case, index: list[int]) -> None:
    model = build_ebt(case)
    problem, _ = model.task(images())
    with torch.no_grad():
        kept = model.keep(model.encode(problem), torch.tensor(index))
    got = model.predict_from(kept, budget(case))
    want = model.predict(some(problem, index), budget(case))
    torch.testing.assert_close(got.output, want.output, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(got.energy, want.energy, rtol=1e-9, atol=1e-10)


@energy_models
def test_energy_is_twice_differentiable(case: Case) -> None:
    check_energy(build_ebt(case), images(batch=1))


@energy_models
def test_training_through_thinking(case: Case) -> None:
    check_training_through_thinking(build_ebt(case), images(batch=2))


@pytest.mark.parametrize("start", ["noise", "zeros"])
def test_training_through_thinking_from_other_starts(start: str) -> None:
    case = Case("space", "image", domain="image")
    check_training_through_thinking(build_ebt(case, start=start), images(batch=2))


# ---------------------------------------------------------------------- objectives


def gradients(objective: Objective[Any], batch: dict[str, Tensor], seed: int = 3) -> list[Tensor]:
    value = objective(batch, seeded(seed)).value
    weights = list(objective.predictor.parameters())
    found = torch.autograd.grad(value, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


@objectives
def test_objectives_report_and_teach_every_weight(case: Case) -> None:
    objective = build_objective(case).train()
    loss = objective(images(), seeded())
    assert loss.value.shape == ()
    assert loss.predictions == BATCH
    assert objective.metric in loss.metrics
    assert all(x.isfinite() and not x.requires_grad for x in loss.metrics.values())
    named = objective.predictor.named_parameters()
    for (name, _), gradient in zip(named, gradients(objective, images()), strict=True):
        if isinstance(objective, FieldObjective) and name.startswith("thinker."):
            continue  # a field is learnt without thinking
        assert gradient.abs().max() > 0, name


@objectives
def test_evaluation_repeats_itself(case: Case) -> None:
    objective = build_objective(case).eval()
    judged = [objective.evaluate(images(), seeded()) for _ in range(2)]
    assert judged[0].predictions == BATCH
    for name, value in judged[0].metrics.items():
        assert value.isfinite()
        assert torch.equal(value, judged[1].metrics[name])


@pytest.mark.parametrize("name", ["thinking", "s1", "s2"])
def test_evaluation_scores_every_step(name: str) -> None:
    objective = build_objective(Case("objective", name, domain="image")).eval()
    metrics = objective.evaluate(images(), seeded()).metrics
    for score in (objective.metric, "psnr"):
        assert torch.equal(metrics[score], metrics[f"{score}_step_{STEPS}"])
        assert f"{score}_step_0" in metrics


# ---------------------------------------------------------------------- FLOPs


@pytest.mark.parametrize("case", MEASURED, ids=str)
@pytest.mark.parametrize("asked", [Budget(steps=3), Budget(steps=1, candidates=3, trace=True)])
def test_prediction_flops(case: Case, asked: Budget) -> None:
    model = build(case)
    problem, _ = model.task(images())
    count, length = model.extent(problem)
    formula = count * model.prediction_flops(length, asked)
    assert counted(lambda: model.predict(problem, asked)) == pytest.approx(formula, rel=0.02)


@pytest.mark.parametrize("case", cases("space", "body", "head", domain="image"), ids=str)
@pytest.mark.parametrize("through", ["none", "last", "all"])
def test_training_flops(case: Case, through: str) -> None:
    """Where steps start from constants, nothing is learnt of a first guess."""
    start = "given" if through == "none" else None
    options = (f"through={through}", f"loss_on={'all' if through == 'none' else 'last'}")
    objective = Case("objective", "thinking", options).config.build(build_ebt(case, start=start))
    executed = counted(lambda: objective(images(), seeded()).value.backward())
    assert executed == pytest.approx(objective.training_flops(images()), rel=0.03)


def test_this_suite_is_not_empty() -> None:
    built = {type(module) for case in MODELS for module in build(case).modules()}
    assert find("body", "bidirectional") in built
    assert find("space", "image") in built
