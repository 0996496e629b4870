"""What must hold of every objective."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.objectives.base import Objective
from conformance.parts import BATCH, LENGTH, Case, build_objective, cases, tokens

every = pytest.mark.parametrize("case", cases("objective"), ids=str)


def batch() -> dict[str, Tensor]:
    return {"tokens": tokens(length=LENGTH + 1)}


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradients(objective: Objective[Any], of: dict[str, Tensor]) -> list[Tensor]:
    value = objective(of, seeded()).value
    weights = list(objective.predictor.parameters())
    found = torch.autograd.grad(value, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


@every
def test_loss_and_metrics(case: Case) -> None:
    objective = build_objective(case).train()
    loss = objective(batch(), seeded())
    assert loss.value.shape == ()
    assert loss.value.requires_grad
    assert loss.predictions == BATCH * LENGTH
    assert "nats" in loss.metrics
    for metric in loss.metrics.values():
        assert metric.shape == ()
        assert not metric.requires_grad
        assert metric.isfinite()


@every
def test_every_weight_learns(case: Case) -> None:
    objective = build_objective(case).train()
    for (name, _), gradient in zip(
        objective.predictor.named_parameters(), gradients(objective, batch()), strict=True
    ):
        assert gradient.abs().max() > 0, name


@every
def test_the_generator_decides_everything(case: Case) -> None:
    first = build_objective(case).train()(batch(), seeded(7))
    with torch.random.fork_rng():
        torch.manual_seed(99)
        again = build_objective(case).train()(batch(), seeded(7))
    assert torch.equal(first.value, again.value)


@every
def test_samples_never_couple(case: Case) -> None:
    whole = gradients(build_objective(case).train(), batch())
    parts = [
        gradients(build_objective(case).train(), {"tokens": batch()["tokens"][row : row + 1]})
        for row in range(BATCH)
    ]
    for index, gradient in enumerate(whole):
        mean = torch.stack([part[index] for part in parts]).mean(0)
        torch.testing.assert_close(gradient, mean, rtol=1e-8, atol=1e-10)


@every
def test_evaluation_leaves_the_runtime_state(case: Case) -> None:
    objective = build_objective(case)
    objective.train()(batch(), seeded())
    before = {name: x.clone() for name, x in objective.runtime_state().items()}
    objective.eval()
    first = objective.evaluate(batch(), seeded(1)).metrics["nats"]
    assert torch.equal(first, objective.evaluate(batch(), seeded(2)).metrics["nats"])
    objective(batch(), seeded())
    after = objective.runtime_state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@every
def test_a_saved_runtime_state_goes_on_the_same(case: Case) -> None:
    going = build_objective(case).train()
    going(batch(), seeded(1))
    resumed = build_objective(case).train()
    resumed.load_runtime_state({name: x.clone() for name, x in going.runtime_state().items()})
    assert torch.equal(going(batch(), seeded(2)).value, resumed(batch(), seeded(2)).value)


def test_a_runtime_state_without_an_owner_is_refused() -> None:
    objective = build_objective(Case("objective", "cross_entropy"))
    with pytest.raises(ValueError, match="no runtime state"):
        objective.load_runtime_state({"candidate": torch.zeros(1)})
