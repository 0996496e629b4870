"""Rules against loops written by hand on a quadratic energy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from argmind.thinking.think import Through, think
from thinking.toys import Bowls, plan, scene

STEPS, SIZE, MU = 5, 0.1, 0.7


def gradient(bowls: Bowls, y: Tensor) -> Tensor:
    return bowls.curvature[:, None, :, None] * (y - bowls.centre[:, None])


@pytest.mark.parametrize("through", [None, "all"])
def test_gradient(through: Through | None) -> None:
    at = scene(count=2)
    y = at.start
    for _ in range(STEPS):
        y = y - SIZE * gradient(at.bowls, y)
    got = think(at.landscape, at.start, plan(size=SIZE, steps=STEPS, through=through))
    torch.testing.assert_close(got.candidate, y)


@pytest.mark.parametrize("through", [None, "all"])
def test_momentum(through: Through | None) -> None:
    at = scene(count=2)
    y, velocity = at.start, torch.zeros_like(at.start)
    for _ in range(STEPS):
        velocity = MU * velocity + SIZE * gradient(at.bowls, y)
        y = y - velocity
    asked = plan("momentum", SIZE, rule_options={"momentum": MU}, steps=STEPS, through=through)
    torch.testing.assert_close(think(at.landscape, at.start, asked).candidate, y)


@pytest.mark.parametrize("through", [None, "all"])
def test_nesterov(through: Through | None) -> None:
    at = scene(count=2)
    y, velocity = at.start, torch.zeros_like(at.start)
    for _ in range(STEPS):
        ahead = y - MU * velocity
        velocity = MU * velocity + SIZE * gradient(at.bowls, ahead)
        y = y - velocity
    options = {"momentum": MU, "nesterov": True}
    asked = plan("momentum", SIZE, rule_options=options, steps=STEPS, through=through)
    torch.testing.assert_close(think(at.landscape, at.start, asked).candidate, y)


@pytest.mark.parametrize("through", [None, "all"])
def test_langevin_draws_before_every_step_if_noisy(through: Through | None) -> None:
    at = scene(count=2)
    generator, y = torch.Generator().manual_seed(4), at.start
    for _ in range(STEPS):
        y = y + 0.3 * torch.randn(y.shape, generator=generator, dtype=y.dtype)
        y = y - SIZE * gradient(at.bowls, y)
    asked = plan(
        "langevin", SIZE, rule_options={"noise_std": 0.3}, steps=STEPS, through=through, noisy=True
    )
    got = think(at.landscape, at.start, asked, torch.Generator().manual_seed(4))
    torch.testing.assert_close(got.candidate, y)


def test_langevin_is_gradient_descent_unless_noisy() -> None:
    at, generator = scene(), torch.Generator().manual_seed(4)
    before = generator.get_state()
    quiet = think(at.landscape, at.start, plan("langevin", SIZE, steps=STEPS), generator)
    plain = think(at.landscape, at.start, plan(size=SIZE, steps=STEPS))
    assert torch.equal(quiet.candidate, plain.candidate)
    assert torch.equal(generator.get_state(), before)


def test_steps_that_start_from_constants_remember_only_numbers() -> None:
    """Momentum carries the past's velocity over a detached step, not the past's graph."""
    at = scene()
    curvature = at.bowls.curvature.clone().requires_grad_()
    at.landscape.state = Bowls(curvature, at.bowls.centre)
    asked = plan("momentum", SIZE, rule_options={"momentum": MU}, steps=2, through="none")
    thought = think(at.landscape, at.start, asked)
    (got,) = torch.autograd.grad(thought.candidate.sum(), curvature)
    y = thought.candidates[1].detach()
    want = -SIZE * (y - at.bowls.centre[:, None]).sum(-1)[:, 0]
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("through", ["none", "last", "all"])
def test_training_and_inference_walk_the_same_way(through: Through) -> None:
    at = scene(count=2)
    for rule in ("gradient", "momentum"):
        trained = think(at.landscape, at.start, plan(rule, steps=3, through=through))
        inferred = think(at.landscape, at.start, plan(rule, steps=3, keep=True))
        for a, b in zip(trained.candidates, inferred.candidates, strict=True):
            torch.testing.assert_close(a, b)
        for a, b in zip(trained.energies, inferred.energies[:-1], strict=True):
            torch.testing.assert_close(a, b)


def test_what_a_loss_is_differentiated_through() -> None:
    """On one bowl with curvature a, y_2 = (1 − αa)² y_0: the three gradients in a, by hand."""
    a, alpha, y0 = 0.8, 0.1, 2.0
    shrink = 1 - alpha * a
    want = {
        "all": -2 * alpha * shrink * y0,
        "last": -alpha * shrink * y0,
        "none": -alpha * shrink * y0,
    }
    for through, expected in want.items():
        at = scene(batch=1, length=1)
        curvature = torch.full((1, 1), a, dtype=torch.float64, requires_grad=True)
        at.landscape.state = Bowls(curvature, torch.zeros_like(at.bowls.centre))
        start = torch.zeros_like(at.start)
        start[..., 0] = y0
        thought = think(at.landscape, start, plan(size=alpha, steps=2, through=through))
        (got,) = torch.autograd.grad(thought.candidate.sum(), curvature)
        assert got.item() == pytest.approx(expected), through
