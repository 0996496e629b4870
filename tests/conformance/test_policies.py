"""What must hold of every policy, whether it thinks, draws or answers at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.predictors.base import Prediction
from argmind.thinking.budget import Budget
from conformance.parts import (
    ACTION,
    BATCH,
    CHUNK,
    Case,
    budget,
    build,
    build_objective,
    cases,
    demonstrations,
)
from conformance.test_flops import counted

POLICIES = cases("predictor", domain="actions")
every = pytest.mark.parametrize("case", POLICIES, ids=str)
#: Objectives that are made for one predictor, rather than for all that think.
objectives = pytest.mark.parametrize(
    "case",
    [
        Case("objective", name, domain="actions")
        for name in ("policy_diffusion", "behaviour_cloning")
    ],
    ids=str,
)


def some(batch: dict[str, Tensor], index: Any) -> dict[str, Tensor]:
    return {name: rows[index] for name, rows in batch.items()}


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradients(objective: Any, batch: dict[str, Tensor], seed: int = 3) -> dict[str, Tensor]:
    objective.zero_grad()
    objective(batch, seeded(seed)).value.backward()
    named = objective.predictor.named_parameters()
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in named
    }


def test_the_rivals_are_here() -> None:
    assert {case.name for case in POLICIES} >= {"ebt", "diffusion_policy", "policy_regression"}


@every
def test_shapes(case: Case) -> None:
    model = build(case)
    problem, target = model.task(demonstrations())
    assert "actions" not in problem
    got = model.predict(problem, budget(case, candidates=3, trace=True), seeded())
    assert got.output.shape == got.candidate.shape == target.shape == (BATCH, CHUNK, ACTION)
    for each in (got.energy, got.steps, got.nfe, got.diverged, model.loss(got.output, target)):
        assert each.shape == (BATCH,)
    assert got.output.dtype == got.energy.dtype == torch.float64
    assert not got.diverged.any()
    assert not got.output.requires_grad
    assert model.metric == "mse"
    assert model.extent(problem) == (BATCH, CHUNK)
    assert (got.trace is not None) == model.thinks
    if got.trace is not None:
        assert len(got.trace.outputs) == len(got.trace.energies) == 1 + int(got.steps.max())
        assert all(output.shape == got.output.shape for output in got.trace.outputs)


@every
def test_the_order_of_a_batch_does_not_matter_nor_its_company(case: Case) -> None:
    model, asked = build(case), budget(case, candidates=2)
    problem, _ = model.task(demonstrations())

    def predict(index: list[int]) -> Prediction:
        return model.predict(some(problem, index), asked, [seeded(5) for _ in index])

    whole = predict([0, 1, 2])
    for index in ([2, 0, 1], [0], [1], [2]):
        got = predict(index)
        torch.testing.assert_close(got.output, whole.output[index], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(got.energy, whole.energy[index], rtol=1e-9, atol=1e-10)
        assert torch.equal(got.nfe, whole.nfe[index])


@every
def test_some_problems_of_a_state(case: Case) -> None:
    model = build(case)
    problem, _ = model.task(demonstrations())
    with torch.no_grad():
        kept = model.keep(model.encode(problem), torch.tensor([2, 0]))
    got = model.predict_from(kept, budget(case), [seeded(5), seeded(6)])
    want = model.predict(some(problem, [2, 0]), budget(case), [seeded(5), seeded(6)])
    torch.testing.assert_close(got.output, want.output, rtol=1e-9, atol=1e-10)


@every
def test_everything_observed_matters(case: Case) -> None:
    model = build(case)
    problem, _ = model.task(demonstrations())

    def said(state: Tensor) -> Tensor:
        return model.predict({"state": state}, budget(case), seeded()).candidate

    before = said(problem["state"])
    for frame in range(problem["state"].shape[1]):
        for element in range(problem["state"].shape[2]):
            changed = problem["state"].clone()
            changed[:, frame, element] += 0.1
            moved = (said(changed) - before).abs().flatten(1).amax(1)
            assert moved.max() > 0, (frame, element)  # clipping may hide it in some


@every
def test_weights_carry_everything(case: Case) -> None:
    model, other = build(case, seed=0), build(case, seed=1)
    problem, _ = model.task(demonstrations())

    def said(by: Any) -> Tensor:
        return by.predict(problem, budget(case), seeded()).output

    assert not torch.equal(said(model), said(other))
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert not other.load_state_dict(weights).missing_keys
    assert torch.equal(said(model), said(other))


@every
@pytest.mark.parametrize("asked", [Budget(steps=3), Budget(steps=2, candidates=3, trace=True)])
def test_prediction_flops(case: Case, asked: Budget) -> None:
    model = build(case)
    problem, _ = model.task(demonstrations())
    count, length = model.extent(problem)
    formula = count * model.prediction_flops(length, asked)
    assert counted(lambda: model.predict(problem, asked, seeded())) == pytest.approx(
        formula, rel=0.02
    )


# ---------------------------------------------------------------------- objectives


@objectives
def test_objectives_report_and_teach_every_weight(case: Case) -> None:
    objective = build_objective(case).train()
    loss = objective(demonstrations(), seeded())
    assert loss.value.shape == ()
    assert loss.predictions == BATCH
    assert objective.metric in loss.metrics
    assert all(x.isfinite() and not x.requires_grad for x in loss.metrics.values())
    for name, gradient in gradients(objective, demonstrations()).items():
        assert gradient.abs().max() > 0, name


@objectives
def test_the_generator_decides_everything(case: Case) -> None:
    first = build_objective(case).train()(demonstrations(), seeded(7)).value
    with torch.random.fork_rng():
        torch.manual_seed(99)
        again = build_objective(case).train()(demonstrations(), seeded(7)).value
    assert torch.equal(first, again)


@objectives
def test_training_flops(case: Case) -> None:
    objective = build_objective(case)
    executed = counted(lambda: objective(demonstrations(), seeded()).value.backward())
    assert executed == pytest.approx(objective.training_flops(demonstrations()), rel=0.03)
