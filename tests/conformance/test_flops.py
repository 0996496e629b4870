"""FLOP formulas against what a counter sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from argmind.energy import two_stream
from argmind.nn import flops
from argmind.nn.flops import causal_pairs
from argmind.predictors.ebt import EBT
from argmind.thinking.budget import Budget
from conformance.parts import (
    MODEL_KINDS,
    VOCABULARY,
    Case,
    build,
    build_objective,
    cases,
    tokens,
)

SEQUENCES, LENGTH = 2, 24  # enough rows that what is done once a step is little

models = pytest.mark.parametrize("case", cases(*MODEL_KINDS), ids=str)


@pytest.fixture
def masked_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count attention as plain PyTorch executes it: all pairs, most of them masked."""
    for module in (flops, two_stream):
        monkeypatch.setattr(module, "causal_pairs", lambda rows: rows * rows)


class Counter(TorchDispatchMode):
    """PyTorch's FLOP counter without its tracking of modules, which does not allow inner grads."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def counted(function: Callable[[], Any]) -> float:
    """FLOPs of matrix products; fused attention is not counted, so it is written out."""
    with sdpa_kernel(SDPBackend.MATH), Counter() as counter:
        function()
    return counter.total


def test_causal_pairs() -> None:
    for rows in range(5):
        assert causal_pairs(rows) == torch.ones(rows, rows).tril().sum()


@models
@pytest.mark.usefixtures("masked_squares")
@pytest.mark.parametrize("budget", [Budget(steps=3), Budget(steps=1, candidates=3, trace=True)])
def test_prediction(case: Case, budget: Budget) -> None:
    model = build(case)
    problem = tokens(SEQUENCES, LENGTH)
    formula = SEQUENCES * model.prediction_flops(LENGTH, budget)
    assert counted(lambda: model.predict(problem, budget)) == pytest.approx(formula, rel=0.02)


@pytest.mark.usefixtures("masked_squares")
@pytest.mark.parametrize("case", cases("space", "conditioning"), ids=str)
def test_prediction_without_an_amortised_start(case: Case) -> None:
    model = build(case, start="noise")
    problem, budget = tokens(SEQUENCES, LENGTH), Budget(steps=2)
    formula = SEQUENCES * model.prediction_flops(LENGTH, budget)
    assert counted(lambda: model.predict(problem, budget)) == pytest.approx(formula, rel=0.02)


@pytest.mark.usefixtures("masked_squares")
@pytest.mark.parametrize(
    "case", [case for case in cases("predictor") if case.name == "transformer_pp"], ids=str
)
def test_training_without_thinking(case: Case) -> None:
    model = build(case)
    context, target = model.task({"tokens": tokens(SEQUENCES, LENGTH + 1)})

    def learn() -> None:
        model.loss(model.logits(model.encode(context)), target).mean().backward()

    assert counted(learn) == pytest.approx(model.training_flops(SEQUENCES, LENGTH), rel=0.02)


@pytest.mark.usefixtures("masked_squares")
@pytest.mark.parametrize("case", cases("space"), ids=str)
@pytest.mark.parametrize(
    ("through", "start", "loss_on"),
    [
        ("none", "noise", "all"),
        ("none", "noise", "last"),
        ("last", "amortised", "last"),
        ("all", "amortised", "last"),
    ],
)
def test_training_through_thinking(case: Case, through: str, start: str, loss_on: str) -> None:
    """Autograd does the products that the formula says, but for attention over masked pairs."""
    model = build(case, start=start)
    assert isinstance(model, EBT)
    batch = {"tokens": tokens(SEQUENCES, LENGTH + 1)}
    options = (f"through={through}", f"loss_on={loss_on}")
    objective = Case("objective", "thinking", options).config.build(model)
    executed = counted(lambda: objective(batch, torch.Generator()).value.backward())
    assert executed == pytest.approx(objective.training_flops(batch), rel=0.02)


def test_executed_flops_are_more_than_needed() -> None:
    """Masked pairs are computed too: at most twice the attention, nothing else."""
    model = build(Case("predictor", "ebt"))
    objective = Case("objective", "thinking").config.build(model)
    batch = {"tokens": tokens(SEQUENCES, LENGTH + 1)}
    executed = counted(lambda: objective(batch, torch.Generator()).value.backward())
    assert 1 < executed / objective.training_flops(batch) < 1.5


def test_the_count_of_the_published_recipe() -> None:
    """With a wide model: 6 P of context, 12 P a step, 10 V D a step, beside attention."""
    model = build(Case("space", "published"), start="noise")
    assert isinstance(model, EBT)
    dim, steps = 8, 2
    stack = model.body.stream.transformer
    passed = flops.linear_flops(stack) / 2
    head = flops.linear_flops(model.body.head) / 2
    last = list(stack.blocks)[-1]
    unused = flops.linear_flops(last.attention.wq, last.attention.wo, last.feed_forward) / 2
    linear = 6 * (passed - unused) + 12 * steps * (passed + head) + 10 * VOCABULARY * dim * steps
    attention = 4 * dim * causal_pairs(LENGTH) * (3 * 1 + 6 * steps * 2)
    assert (
        model.training_flops(1, LENGTH, through="none", judged_steps=2)
        == LENGTH * linear + attention
    )


def test_objectives_count_their_own_options() -> None:
    batch = {"tokens": tokens(4, LENGTH + 1)}
    of = {
        name: build_objective(Case("objective", "thinking", options)).training_flops(batch)
        for name, options in {
            "plain": (),
            "last": ("through=last",),
            "all_judged": ("loss_on=all",),
            "replayed": ("replay_samples=8",),
            "fewer": ("fewest_steps=1",),
        }.items()
    }
    assert of["last"] < of["plain"] < of["all_judged"]
    assert of["replayed"] == pytest.approx(1.5 * of["plain"])
    assert of["fewer"] < of["plain"]


def test_more_thinking_costs_more() -> None:
    model = build(Case("predictor", "ebt"))
    costs = [model.prediction_flops(LENGTH, Budget(steps=steps)) for steps in (0, 1, 2, 4)]
    assert costs == sorted(set(costs))
    assert costs[3] - costs[2] == pytest.approx(2 * (costs[2] - costs[1]))
    many = model.prediction_flops(LENGTH, Budget(steps=2, candidates=4))
    assert costs[2] < many < 4 * costs[2]
