"""What must hold of every part that energies of action chunks are made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.objectives._field import FieldObjective
from argmind.registry import find
from argmind.thinking.budget import Budget
from conformance.parts import (
    BATCH,
    CHUNK,
    Case,
    budget,
    build_ebt,
    build_objective,
    candidates,
    cases,
    demonstrations,
)
from conformance.second_order import check_energy, check_training_through_thinking
from conformance.test_flops import counted
from conformance.test_policies import gradients, seeded, some

#: Parts that serve other answers too, such as attention and norms, are met with those.
MODELS = cases("space", "body", "head", "observation", domain="actions")
models = pytest.mark.parametrize("case", MODELS, ids=str)
rules = [*cases("rule", domain="actions"), Case("schedule", "randomised", domain="actions")]
every = pytest.mark.parametrize("case", [*MODELS, *rules], ids=str)
#: Objectives of models that think; those of others have a suite of their own.
objectives = pytest.mark.parametrize(
    "case",
    [
        case
        for case in cases("objective", domain="actions")
        if case.name not in ("policy_diffusion", "behaviour_cloning")
    ],
    ids=str,
)


@every
def test_the_order_of_a_batch_does_not_matter_nor_its_company(case: Case) -> None:
    model, asked = build_ebt(case), budget(case, candidates=2, trace=True)
    problem, _ = model.task(demonstrations())

    def predict(index: list[int]) -> Any:
        return model.predict(some(problem, index), asked, [seeded(5) for _ in index])

    whole = predict([0, 1, 2])
    assert whole.output.isfinite().all()
    for index in ([2, 0, 1], [1]):
        got = predict(index)
        torch.testing.assert_close(got.output, whole.output[index], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(got.energy, whole.energy[index], rtol=1e-9, atol=1e-10)
        assert torch.equal(got.nfe, whole.nfe[index])


@models
def test_candidates_together_equal_candidates_alone(case: Case) -> None:
    model = build_ebt(case)
    problem, _ = model.task(demonstrations())
    y = candidates(model, BATCH, 3)
    together = model.thinker.think(model.landscape(problem), budget(case), start=y)
    assert together.energy is not None
    for n in range(3):
        alone = model.thinker.think(model.landscape(problem), budget(case), start=y[:, n : n + 1])
        assert alone.energy is not None
        torch.testing.assert_close(alone.candidate[:, 0], together.candidate[:, n])
        torch.testing.assert_close(alone.energy[:, 0], together.energy[:, n])


@models
def test_no_gradient_leaks_between_problems_or_candidates(case: Case) -> None:
    model = build_ebt(case)
    state = model.encode(model.task(demonstrations(batch=2))[0])
    y = candidates(model, 2, 2).requires_grad_()
    point = model.space.point(model.space.begin(y), 0)
    energies = model.body.energy(state, model.space.embed(point), 0)
    assert energies.shape == (2, 2)
    for b, n in ((0, 0), (0, 1), (1, 1)):
        (to_y,) = torch.autograd.grad(energies[b, n], y, retain_graph=True)
        felt = to_y.abs() > 0
        assert felt[b, n].all()
        assert felt.sum() == felt[b, n].sum()


@pytest.mark.parametrize("case", cases("space", "body", "head", domain="actions"), ids=str)
def test_energy_is_twice_differentiable(case: Case) -> None:
    """What reads observations is differentiated once."""
    check_energy(build_ebt(case), demonstrations(batch=1))


@every
def test_training_through_thinking(case: Case) -> None:
    check_training_through_thinking(build_ebt(case), demonstrations(batch=2))


@pytest.mark.parametrize("case", cases("observation", domain="actions"), ids=str)
def test_every_frame_is_read_by_itself(case: Case) -> None:
    model, problem = build_ebt(case), demonstrations()
    rows = model.space.embed_context(problem)
    for name in ("state", "image") if case.name == "image" else ("state",):
        changed = {**problem, name: problem[name].clone()}
        changed[name][:, 1] += 0.1
        moved = (model.space.embed_context(changed) - rows).abs().amax(-1)
        assert (moved[:, 0] == 0).all()
        assert (moved[:, 1] > 0).all()


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
        if isinstance(objective, FieldObjective) and name.startswith("thinker."):
            continue  # a field is learnt without thinking
        assert gradient.abs().max() > 0, name


@objectives
def test_evaluation_repeats_itself(case: Case) -> None:
    objective = build_objective(case).eval()
    judged = [objective.evaluate(demonstrations(), seeded()) for _ in range(2)]
    assert judged[0].predictions == BATCH
    for name, value in judged[0].metrics.items():
        assert value.isfinite()
        assert torch.equal(value, judged[1].metrics[name])


# ---------------------------------------------------------------------- FLOPs


@models
@pytest.mark.parametrize("asked", [Budget(steps=3), Budget(steps=1, candidates=3, trace=True)])
def test_prediction_flops(case: Case, asked: Budget) -> None:
    model = build_ebt(case)
    problem, _ = model.task(demonstrations())
    count, length = model.extent(problem)
    assert length == CHUNK
    formula = count * model.prediction_flops(length, asked)
    executed = counted(lambda: model.predict(problem, asked, seeded()))
    assert executed == pytest.approx(formula, rel=0.02)


@models
@pytest.mark.parametrize("through", ["none", "all"])
def test_training_flops(case: Case, through: str) -> None:
    options = (f"through={through}", f"loss_on={'all' if through == 'none' else 'last'}")
    objective = Case("objective", "thinking", options).config.build(build_ebt(case))
    executed = counted(lambda: objective(demonstrations(), seeded()).value.backward())
    assert executed == pytest.approx(objective.training_flops(demonstrations()), rel=0.03)


def test_training_flops_of_choosing_among_starts() -> None:
    case = Case("objective", "nearest", ("scout_steps=1",), "actions")
    objective = build_objective(case).train()
    executed = counted(lambda: objective(demonstrations(), seeded()).value.backward())
    assert executed == pytest.approx(objective.training_flops(demonstrations()), rel=0.03)


def test_this_suite_is_not_empty() -> None:
    built = {type(module) for case in MODELS for module in build_ebt(case).modules()}
    for kind, name in (("body", "policy"), ("space", "actions"), ("head", "mlp")):
        assert find(kind, name) in built
    for name in ("state", "image"):
        assert find("observation", name) in built
    for name in ("energy_scaled", "langevin"):
        assert Case("rule", name, domain="actions") in cases("rule", domain="actions")


def test_chunks_are_problems_of_their_own() -> None:
    """A dictionary with actions in it is a batch, not a problem."""
    model = build_ebt(Case("space", "actions", domain="actions"))
    problem, target = model.task(demonstrations())
    assert isinstance(target, Tensor)
    assert set(problem) == {"state", "image"}
