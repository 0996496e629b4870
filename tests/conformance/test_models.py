"""What must hold of every part that a predictor is made of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from argmind.predictors.base import Prediction
from argmind.predictors.ebt import EBT
from conformance.parts import (
    BATCH,
    LENGTH,
    MODEL_KINDS,
    VOCABULARY,
    Case,
    budget,
    build,
    build_ebt,
    candidates,
    cases,
    energies,
    predictor_config,
    tokens,
)

every = pytest.mark.parametrize("case", cases(*MODEL_KINDS, "rule", "schedule", "stop"), ids=str)


def is_ebt(case: Case) -> bool:
    return predictor_config(case).owner is EBT


energy_models = pytest.mark.parametrize(
    "case", [case for case in cases(*MODEL_KINDS) if is_ebt(case)], ids=str
)


def same(a: Prediction, b: Prediction) -> None:
    torch.testing.assert_close(a.output, b.output, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(a.energy, b.energy, rtol=1e-9, atol=1e-10)
    assert torch.equal(a.nfe, b.nfe)
    assert torch.equal(a.steps, b.steps)


@every
def test_shapes(case: Case) -> None:
    model = build(case)
    got = model.predict(tokens(), budget(case, candidates=2, trace=True))
    assert got.output.shape == (BATCH, LENGTH, VOCABULARY)
    for each in (got.energy, got.steps, got.nfe, got.diverged):
        assert each.shape == (BATCH, LENGTH)
    assert got.output.dtype == got.energy.dtype == torch.float64
    assert not got.diverged.any()
    assert got.output.requires_grad is False
    if got.trace is not None:
        assert all(output.shape == got.output.shape for output in got.trace.outputs)
        assert all(energy.shape == got.energy.shape for energy in got.trace.energies)


@every
def test_a_later_token_changes_no_earlier_prediction(case: Case) -> None:
    model = build(case)
    problem = tokens()
    before = model.predict(problem, budget(case))
    for j in range(LENGTH):
        changed = problem.clone()
        changed[:, j] = (changed[:, j] + 1) % VOCABULARY
        after = model.predict(changed, budget(case))
        assert torch.equal(after.output[:, :j], before.output[:, :j])
        assert torch.equal(after.energy[:, :j], before.energy[:, :j])
        moved = (after.output - before.output).abs().amax(dim=(0, 2))[j:]
        assert (moved > 1e-9).all(), "a token that changes nothing would make this test empty"


@energy_models
def test_no_gradient_leaks_between_positions_or_candidates(case: Case) -> None:
    model = build_ebt(case)
    context = model.space.embed_context(tokens(batch=2)).detach().requires_grad_()
    y = candidates(model, 2, 2, LENGTH).requires_grad_()
    scored = energies(model, context, y)
    for b, n, i in torch.cartesian_prod(*(torch.arange(k) for k in scored.shape)).tolist():
        to_context, to_y = torch.autograd.grad(scored[b, n, i], (context, y), retain_graph=True)
        seen = to_context.abs().amax(-1) > 0
        assert torch.equal(seen[b], torch.arange(LENGTH) <= i)
        assert not seen[1 - b].any()
        felt = to_y.flatten(3).abs().amax(-1) > 0
        assert felt.sum() == 1
        assert felt[b, n, i]


@every
def test_left_padding_changes_nothing(case: Case) -> None:
    model = build(case)
    problem, pads = tokens(), torch.tensor([2, 0, 1])
    width = LENGTH + int(pads.max())
    padded = torch.stack(
        [
            torch.cat([row.new_full((int(pad),), 3), row, row.new_full((width - LENGTH - pad,), 5)])
            for row, pad in zip(problem, pads, strict=True)
        ]
    )
    got = model.predict(padded, budget(case), first=pads)
    want = model.predict(problem, budget(case))
    for row, pad in enumerate(pads.tolist()):
        real = slice(pad, pad + LENGTH)
        torch.testing.assert_close(got.output[row, real], want.output[row], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(got.energy[row, real], want.energy[row], rtol=1e-9, atol=1e-10)
        assert torch.equal(got.nfe[row, real], want.nfe[row])


def rows(prediction: Prediction, index: Tensor) -> Prediction:
    fields = (prediction.output, prediction.candidate, prediction.energy, prediction.steps)
    return Prediction(*(x[index] for x in (*fields, prediction.nfe, prediction.diverged)))


@every
def test_the_order_of_a_batch_does_not_matter_nor_its_company(case: Case) -> None:
    model = build(case)
    problem, asked = tokens(), budget(case, candidates=2)

    def predict(index: Tensor) -> Prediction:
        drawing = [torch.Generator().manual_seed(5) for _ in index]
        return model.predict(problem[index], asked, drawing)

    whole = predict(torch.arange(BATCH))
    order = torch.tensor([2, 0, 1])
    same(predict(order), rows(whole, order))
    for row in range(BATCH):
        same(predict(torch.tensor([row])), rows(whole, torch.tensor([row])))


@energy_models
def test_candidates_together_equal_candidates_alone(case: Case) -> None:
    model = build_ebt(case)
    context = model.space.embed_context(tokens())
    y = candidates(model, BATCH, 3, LENGTH)
    together = model.thinker.think(model.landscape(tokens()), budget(case), start=y)
    assert together.energy is not None
    for n in range(3):
        alone = model.thinker.think(model.landscape(tokens()), budget(case), start=y[:, n : n + 1])
        assert alone.energy is not None
        torch.testing.assert_close(alone.candidate[:, 0], together.candidate[:, n])
        torch.testing.assert_close(alone.energy[:, 0], together.energy[:, n])
        score = energies(model, context, y[:, n : n + 1])
        torch.testing.assert_close(score[:, 0], energies(model, context, y)[:, n])


@every
def test_weights_carry_everything(case: Case) -> None:
    model, other = build(case, seed=0), build(case, seed=1)
    assert not torch.equal(model.predict(tokens()).output, other.predict(tokens()).output)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert not other.load_state_dict(weights).missing_keys
    same(other.predict(tokens(), budget(case)), model.predict(tokens(), budget(case)))


@every
@pytest.mark.parametrize("padded", [False, True])
def test_from_the_cache_equals_from_scratch(case: Case, padded: bool) -> None:
    model = build(case)
    problem = tokens(length=6)
    first = torch.tensor([1, 0, 2]) if padded else None
    with torch.no_grad():
        state = model.encode(problem[:, :3], first, last_only=True)
        steps = [model.predict_from(state, budget(case))]
        for index in range(3, 6):
            state = model.extend(state, problem[:, index])
            steps.append(model.predict_from(state, budget(case)))
        kept = model.predict_from(model.keep(state, torch.tensor([2, 0])), budget(case))
    want = model.predict(problem, budget(case), first=first)
    for index, got in enumerate(steps):
        at = index + 2
        torch.testing.assert_close(got.output[:, 0], want.output[:, at], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(got.energy[:, 0], want.energy[:, at], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(kept.output[:, 0], want.output[[2, 0], -1], rtol=1e-9, atol=1e-10)


@every
def test_thinking_at_inference_leaves_no_graph(case: Case) -> None:
    model = build(case, start="zeros")
    with torch.no_grad():
        state = model.encode(tokens())
    model.predict_from(state, budget(case))
    for encoded in state.encoded.values():
        assert not any(x.requires_grad for layer in encoded.cache for x in layer)
