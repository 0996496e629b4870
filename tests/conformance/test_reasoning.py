"""What must hold of every part that models of reasoning problems are made of, and of the models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.objectives.base import Objective
from argmind.predictors.base import Prediction
from argmind.predictors.ebt import EBT
from argmind.registry import find
from argmind.thinking.budget import Budget
from conformance.parts import (
    BATCH,
    CELLS,
    MODEL_KINDS,
    NUMBERS,
    STEPS,
    SYMBOLS,
    THINKING_KINDS,
    Case,
    budget,
    build,
    build_ebt,
    build_objective,
    candidates,
    cases,
    predictor_config,
    problems,
)
from conformance.second_order import check_energy, check_training_through_thinking
from conformance.test_flops import counted

DOMAINS = ("symbols", "numbers")
#: Parts that know nothing of reasoning are met in one of the two domains.
MODELS = [
    *cases(*MODEL_KINDS, domain="symbols"),
    *cases("space", "predictor", domain="numbers"),
]
every = pytest.mark.parametrize(
    "case", [*MODELS, *cases(*THINKING_KINDS, domain="symbols")], ids=str
)
models = pytest.mark.parametrize("case", MODELS, ids=str)
energy_models = pytest.mark.parametrize(
    "case", [case for case in MODELS if predictor_config(case).owner is EBT], ids=str
)
objectives = pytest.mark.parametrize(
    "case", [case for domain in DOMAINS for case in cases("objective", domain=domain)], ids=str
)


def some(batch: dict[str, Tensor], index: Any) -> dict[str, Tensor]:
    return {name: rows[index] for name, rows in batch.items()}


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(a: Prediction, b: Prediction, index: Any = slice(None)) -> None:
    torch.testing.assert_close(a.output, b.output[index], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(a.energy, b.energy[index], rtol=1e-9, atol=1e-10)
    assert torch.equal(a.nfe, b.nfe[index])


@every
def test_shapes(case: Case) -> None:
    model, batch = build(case), problems(case.domain)
    problem, target = model.task(batch)
    got = model.predict(problem, budget(case, candidates=2, trace=True), seeded())
    width = SYMBOLS if case.domain == "symbols" else NUMBERS
    assert got.output.shape == (BATCH, CELLS, width)
    for each in (got.energy, got.steps, got.nfe, got.diverged):
        assert each.shape == (BATCH,)
    assert got.output.dtype == got.energy.dtype == torch.float64
    assert (got.nfe > 0).all()
    assert not got.diverged.any()
    assert not got.output.requires_grad
    assert got.trace is not None
    assert len(got.trace.outputs) == len(got.trace.energies) >= 2
    assert all(output.shape == got.output.shape for output in got.trace.outputs)
    assert all(energy.shape == got.energy.shape for energy in got.trace.energies)
    assert model.loss(got.output, target).shape == (BATCH,)
    assert all(score.shape == (BATCH,) for score in model.scores(got.output, target).values())


@every
def test_the_order_of_a_batch_does_not_matter_nor_its_company(case: Case) -> None:
    model, asked = build(case), budget(case, candidates=2)
    problem, _ = model.task(problems(case.domain))

    def predict(index: list[int]) -> Prediction:
        drawing = [seeded(5) for _ in index]
        return model.predict(some(problem, index), asked, drawing)

    whole = predict([0, 1, 2])
    for index in ([2, 0, 1], [1]):
        same(predict(index), whole, index)


@every
def test_the_order_of_tokens_does_not_matter(case: Case) -> None:
    """Only what is given of a token, and its places, say which it is."""
    model, asked = build(case), budget(case)
    problem, _ = model.task(problems(case.domain))
    order = torch.tensor([3, 0, 4, 2, 1])
    turned = {name: rows[:, order] for name, rows in problem.items()}
    got, want = model.predict(turned, asked), model.predict(problem, asked)
    if torch.equal(want.output, model.predict(problem, asked, seeded()).output):
        torch.testing.assert_close(got.output, want.output[:, order], rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(got.energy, want.energy, rtol=1e-8, atol=1e-9)


@models
def test_problems_may_be_smaller_or_larger_than_in_training(case: Case) -> None:
    model, whole = build(case), problems(case.domain)
    for tokens in (CELLS - 2, CELLS + 3):
        index = torch.arange(tokens) % CELLS
        problem, target = model.task(
            {name: rows if rows.ndim == 1 else rows[:, index] for name, rows in whole.items()}
        )
        got = model.predict(problem, budget(case, candidates=2), seeded())
        assert got.output.shape[:2] == (BATCH, tokens)
        assert model.loss(got.output, target).isfinite().all()


@every
def test_weights_carry_everything(case: Case) -> None:
    model, other = build(case, seed=0), build(case, seed=1)
    problem, _ = model.task(problems(case.domain))

    def said(by: Any) -> Tensor:
        return by.predict(problem, budget(case), seeded()).output

    assert not torch.equal(said(model), said(other))
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert not other.load_state_dict(weights).missing_keys
    assert torch.equal(said(model), said(other))


@models
def test_every_given_token_and_place_matters(case: Case) -> None:
    # Answers that are clipped would hide it.
    clips = case.kind == "predictor" and hasattr(case.config, "clip")
    model = build(replace(case, options=(*case.options, "clip=1e9")) if clips else case)
    problem, _ = model.task(problems(case.domain))

    def said(problem: dict[str, Tensor]) -> Tensor:
        return model.predict(problem, budget(case), seeded()).output

    before = said(problem)
    for name in ("given", "places"):
        for token in range(CELLS):
            changed = problem[name].clone()
            changed[:, token] = (changed[:, token] + 1) % 2
            moved = (said({**problem, name: changed}) - before).abs().flatten(1).amax(1)
            told = (changed != problem[name]).flatten(1).any(1)
            assert (moved[told] > 0).all()


@energy_models
def test_no_gradient_leaks_between_problems_or_candidates(case: Case) -> None:
    model = build_ebt(case)
    state = model.encode(model.task(problems(case.domain, batch=2))[0])
    y = candidates(model, 2, 2).requires_grad_()
    energies = model.body.energy(state, model.space.embed(model.space.point(y, 0)), 0)
    assert energies.shape == (2, 2)
    for b, n in ((0, 0), (0, 1), (1, 1)):
        (to_y,) = torch.autograd.grad(energies[b, n], y, retain_graph=True)
        felt = to_y.abs() > 0
        assert felt[b, n].all()
        assert felt.sum() == felt[b, n].sum()


@energy_models
@pytest.mark.parametrize("index", [[2, 0], [1]])
def test_some_problems_of_a_state(case: Case, index: list[int]) -> None:
    model = build_ebt(case)
    problem, _ = model.task(problems(case.domain))
    with torch.no_grad():
        kept = model.keep(model.encode(problem), torch.tensor(index))
    same(model.predict_from(kept, budget(case)), model.predict(some(problem, index), budget(case)))


@energy_models
def test_energy_is_twice_differentiable(case: Case) -> None:
    check_energy(build_ebt(case), problems(case.domain, batch=1))


@energy_models
def test_training_through_thinking(case: Case) -> None:
    check_training_through_thinking(build_ebt(case), problems(case.domain, batch=2))


def test_known_cells_hold_their_symbol() -> None:
    case = Case("space", "grid", domain="symbols")
    model, batch = build_ebt(case), problems("symbols")
    problem, _ = model.task(batch)
    got = model.predict(problem, budget(case, candidates=2, noisy=True), seeded())
    known = batch["known"]
    assert torch.equal(got.output.argmax(-1)[known], batch["target"][known])
    assert (got.output[known].softmax(-1).amax(-1) > 0.9999).all()
    free = build_ebt(Case("space", "grid", ("hold_known=false",), "symbols"))
    moved = free.predict(problem, budget(case), seeded()).output
    assert not torch.equal(moved[known].argmax(-1), batch["target"][known])


def test_only_tokens_that_are_asked_for_are_judged() -> None:
    model, batch = build(Case("predictor", "one_pass", domain="symbols")), problems("symbols")
    _, target = model.task(batch)
    output = model.predict(model.task(batch)[0]).output
    nonsense = output.clone()
    nonsense[batch["known"]] = 7.0
    assert torch.equal(model.loss(output, target), model.loss(nonsense, target))
    right = torch.nn.functional.one_hot(batch["target"], SYMBOLS).double()
    right[batch["known"]] = 0.0
    assert (model.scores(right, target)["solved"] == 1).all()
    asked = (~batch["known"]).float().argmax(1)
    right[torch.arange(BATCH), asked] *= -1
    scores = model.scores(right, target)
    assert (scores["solved"] == 0).all()
    share = 1 - 1 / (~batch["known"]).sum(1)
    torch.testing.assert_close(scores["tokens_right"], share)


@pytest.mark.parametrize("name", ["looped", "recursive"])
def test_rivals_that_think_take_more_turns(name: str) -> None:
    model = build(Case("predictor", name, domain="symbols"))
    problem, _ = model.task(problems("symbols"))
    outputs = []
    for steps in (1, 2, 5):
        got = model.predict(problem, Budget(steps=steps, trace=True))
        assert (got.steps == steps).all()
        outputs.append(got.output)
        assert got.trace is not None
        assert len(got.trace.outputs) == steps + 1
        assert torch.equal(got.trace.outputs[1], outputs[0])
        each = model.predict(problem, Budget(steps=1)).nfe
        assert torch.equal(got.nfe, steps * each)
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])
    late = model.predict(problem, Budget(steps=10_000, deadline_s=1e-9))
    assert (late.steps == 1).all()


def test_rivals_stop_where_their_answers_settle() -> None:
    model = build(Case("predictor", "looped", domain="symbols"))
    problem, _ = model.task(problems("symbols"))
    stop = part_config("stop", "plateau", tolerance=0.02)
    got = model.predict(problem, Budget(steps=40, stop=stop))
    assert len(set(got.steps.tolist())) > 1, "each problem stops by itself"
    for row, steps in enumerate(got.steps.tolist()):
        assert 2 <= steps < 40
        alone = model.predict(some(problem, [row]), Budget(steps=steps))
        torch.testing.assert_close(got.output[row], alone.output[0])
        assert got.nfe[row] == alone.nfe[0]
    recursive = build(Case("predictor", "recursive", domain="symbols"))
    asked = Budget(steps=6, stop=part_config("stop", "plateau"))
    with torch.no_grad():
        recursive.halt.bias.fill_(50.0)
        assert (recursive.predict(problem, asked).steps == 1).all()
        recursive.halt.bias.fill_(-50.0)
        assert (recursive.predict(problem, asked).steps == 6).all()


def test_the_one_pass_rival_takes_one() -> None:
    model = build(Case("predictor", "one_pass", domain="symbols"))
    problem, _ = model.task(problems("symbols"))
    one, many = (model.predict(problem, Budget(steps=steps)) for steps in (1, 9))
    assert torch.equal(one.output, many.output)
    assert (many.nfe == 1).all()
    assert not model.thinks


# ---------------------------------------------------------------------- objectives


def gradients(objective: Objective[Any], batch: dict[str, Tensor], seed: int = 3) -> list[Tensor]:
    value = objective(batch, seeded(seed)).value
    weights = list(objective.predictor.parameters())
    found = torch.autograd.grad(value, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


@objectives
def test_objectives_report_and_teach_every_weight(case: Case) -> None:
    objective, batch = build_objective(case).train(), problems(case.domain)
    loss = objective(batch, seeded())
    assert loss.value.shape == ()
    assert loss.predictions == BATCH
    assert all(x.isfinite() and not x.requires_grad for x in loss.metrics.values())
    objective = build_objective(case).train()
    judged_halt = case.domain == "symbols"
    for (name, _), gradient in zip(
        objective.predictor.named_parameters(), gradients(objective, batch), strict=True
    ):
        halts = name.startswith("halt.") and not judged_halt
        sized = name == "thinker.schedule.size" and objective.metric == "field_error"
        assert gradient.abs().max() > 0 or halts or sized, name


@objectives
def test_objectives_do_not_couple_samples(case: Case) -> None:
    batch = problems(case.domain)
    whole = gradients(build_objective(case).train(), batch)
    parts = [
        gradients(build_objective(case).train(), some(batch, slice(row, row + 1)))
        for row in range(BATCH)
    ]
    if _draws(case):
        return
    for index, gradient in enumerate(whole):
        mean = torch.stack([part[index] for part in parts]).mean(0)
        torch.testing.assert_close(gradient, mean, rtol=1e-8, atol=1e-10)


def _draws(case: Case) -> bool:
    """Does the loss depend on numbers drawn for the batch as a whole?"""
    batch = problems(case.domain)
    first, second = (build_objective(case).train()(batch, seeded(s)).value for s in (1, 2))
    return not torch.equal(first, second)


@objectives
def test_evaluation_names_the_loss_and_leaves_the_state(case: Case) -> None:
    objective, batch = build_objective(case), problems(case.domain)
    objective.train()(batch, seeded())
    before = {name: x.clone() for name, x in objective.runtime_state().items()}
    objective.eval()
    first, second = (objective.evaluate(batch, seeded(1)) for _ in range(2))
    assert torch.equal(first.value, second.value)
    assert first.value.isfinite()
    if case.domain == "symbols" and objective.metric == "loss":
        assert 0 <= first.metrics["solved"] <= 1
    objective(batch, seeded())
    after = objective.runtime_state()
    assert all(torch.equal(before[name], after[name]) for name in before)


@objectives
def test_a_saved_runtime_state_goes_on_the_same(case: Case) -> None:
    batch = problems(case.domain)
    going = build_objective(case).train()
    going(batch, seeded(1))
    resumed = build_objective(case).train()
    resumed.load_runtime_state({name: x.clone() for name, x in going.runtime_state().items()})
    later = problems(case.domain, seed=2)
    assert torch.equal(going(later, seeded(2)).value, resumed(later, seeded(2)).value)


# ---------------------------------------------------------------------- cost


@pytest.mark.parametrize("case", [case for case in MODELS if case.kind != "attention"], ids=str)
@pytest.mark.parametrize("steps", [1, 3])
def test_prediction_flops(case: Case, steps: int) -> None:
    model = build(case)
    problem, _ = model.task(problems(case.domain))
    asked = Budget(steps=steps)
    formula = BATCH * model.prediction_flops(CELLS, asked)
    executed = counted(lambda: model.predict(problem, asked, seeded()))
    assert executed == pytest.approx(formula, rel=0.05)


@objectives
def test_training_flops(case: Case) -> None:
    if case.name in ("s2", "progressive"):
        pytest.skip("its formula is of a full replay buffer, or of the most steps")
    objective, batch = build_objective(case).train(), problems(case.domain)
    executed = counted(lambda: objective(batch, seeded()).value.backward())
    assert executed == pytest.approx(objective.training_flops(batch), rel=0.05)


def test_this_suite_is_not_empty() -> None:
    built = {type(module) for case in MODELS for module in build(case).modules()}
    for name in ("grid", "numbers"):
        assert find("space", name) in built
    for name in ("one_pass", "looped", "recursive"):
        assert find("predictor", name) in built
    assert STEPS > 1
