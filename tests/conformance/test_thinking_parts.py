"""What must hold of every rule, schedule and stop by itself: predictions never couple."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from argmind.spaces.base import Space
from conformance.parts import Case, cases

SHAPE = torch.Size((2, 3, 4))
FEATURES = 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", cases("rule"), ids=str)
def test_a_rule_moves_each_prediction_by_its_own_gradient(case: Case) -> None:
    rule, space = case.config.build(), Space()
    gradients = normal(3, *SHAPE, FEATURES)
    other = gradients.clone()
    other[:, 0, 1, 2] += 1

    def walk(gradients: Tensor) -> list[Tensor]:
        memory, deltas = None, []
        for gradient in gradients:
            rule.before(space, gradient, memory, 0, False, None)
            delta, memory = rule.delta(gradient, gradient.sum(-1), 0.3, memory)
            deltas.append(delta)
        return deltas

    for before, after in zip(walk(gradients), walk(other), strict=True):
        assert before.shape == (*SHAPE, FEATURES)
        changed = (before != after).any(-1)
        assert changed[0, 1, 2]
        assert changed.sum() == 1


@pytest.mark.parametrize("case", cases("rule"), ids=str)
def test_a_rule_is_quiet_unless_asked_to_be_noisy(case: Case) -> None:
    rule, y = case.config.build(), normal(*SHAPE, FEATURES)
    torch.testing.assert_close(rule.before(Space(), y, None, 0, False, None), y, rtol=0, atol=0)


@pytest.mark.parametrize("case", cases("schedule"), ids=str)
@pytest.mark.parametrize("noisy", [False, True])
def test_a_schedule_gives_positive_sizes_that_its_generator_decides(
    case: Case, noisy: bool
) -> None:
    schedule = case.config.build().double()
    like = normal(*SHAPE, FEATURES)

    def sizes(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        of = schedule.sizes(SHAPE, like, generator, noisy)
        return torch.stack([torch.as_tensor(of(step)).expand(SHAPE) for step in range(6)])

    assert (sizes(0) > 0).all()
    assert torch.equal(sizes(0), sizes(0))
    if not noisy:
        assert torch.equal(sizes(0), sizes(1))
        assert (sizes(0) == sizes(0)[:, :1, :1, :1]).all()


@pytest.mark.parametrize("case", cases("stop"), ids=str)
def test_a_stop_judges_each_prediction_by_itself(case: Case) -> None:
    stop = case.config.build()
    if not stop.settles:
        return
    energy, gradient = normal(*SHAPE), normal(*SHAPE, FEATURES, seed=1)
    assert not stop.finished(energy, None, gradient).any()
    gradient[0, 1, 2] = 0
    previous = energy + 1
    previous[0, 1, 2] = energy[0, 1, 2]
    finished = stop.finished(energy, previous, gradient)
    assert finished.shape == SHAPE
    assert finished.dtype == torch.bool
    assert finished[0, 1, 2]
    assert finished.sum() == 1
    nothing = torch.full_like(energy, float("nan"))
    assert not stop.finished(nothing, nothing, gradient * float("nan")).any()
