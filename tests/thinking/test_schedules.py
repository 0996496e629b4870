"""Step sizes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from argmind.config import from_dict, part_config
from argmind.errors import UserError
from argmind.thinking.schedules.learned import SMALLEST_SIZE
from argmind.thinking.think import think
from thinking.toys import plan, scene

SHAPE = torch.Size((4, 5, 6))
LIKE = torch.zeros(*SHAPE, 2, dtype=torch.float64)


def sizes(name: str, noisy: bool = False, seed: int = 0, steps: int = 6, **options: object):
    schedule = part_config("schedule", name, **options).build()
    of = schedule.sizes(SHAPE, LIKE, torch.Generator().manual_seed(seed), noisy)
    return [torch.as_tensor(of(step), dtype=torch.float64) for step in range(steps)]


def test_constant() -> None:
    assert [size.item() for size in sizes("constant", size=0.3)] == pytest.approx([0.3] * 6)


def test_learned_repeats_its_last() -> None:
    schedule = part_config("schedule", "learned", size=2.0, count=2).build()
    with torch.no_grad():
        schedule.size[1] = 5.0
    of = schedule.sizes(SHAPE, LIKE, None, False)
    assert [of(step).item() for step in range(4)] == [2.0, 5.0, 5.0, 5.0]


def test_learned_never_gets_below_its_clamp() -> None:
    schedule = part_config("schedule", "learned").build()
    with torch.no_grad():
        schedule.size.fill_(-3.0)
    assert schedule.sizes(SHAPE, LIKE, None, True)(0).item() == pytest.approx(SMALLEST_SIZE)
    assert pytest.approx(1e-4) == SMALLEST_SIZE


def test_learned_learns() -> None:
    at = scene()
    schedule = part_config("schedule", "learned", size=0.1).build().double()
    size = schedule.sizes(SHAPE, LIKE, None, True)(0)
    asked = plan(size=size, steps=2, through="all")
    think(at.landscape, at.start, asked).candidate.sum().backward()
    assert schedule.size.grad is not None
    assert schedule.size.grad.abs().item() > 0
    assert schedule.lr_factor == 1.0


@pytest.mark.parametrize("distribution", ["uniform", "log_uniform"])
def test_randomised(distribution: str) -> None:
    base = part_config("schedule", "constant", size=2.0)
    options = {"base": base, "scale": 3.0, "distribution": distribution}
    drawn = sizes("randomised", noisy=True, **options)
    assert all(torch.equal(size, drawn[0]) for size in drawn), "drawn once for a thought"
    assert drawn[0].shape == SHAPE
    assert len(drawn[0].unique()) == SHAPE.numel(), "per prediction"
    factor = drawn[0] / 2.0
    assert factor.min() >= 1 / 3
    assert factor.max() <= 3
    middle = (1 / 3 + 3) / 2 if distribution == "uniform" else 1.0
    assert (factor < middle).double().mean().item() == pytest.approx(0.5, abs=0.15)
    assert not torch.equal(drawn[0], sizes("randomised", noisy=True, seed=1, **options)[0])
    quiet = sizes("randomised", **options)
    assert all(size.item() == 2.0 for size in quiet)


def test_annealed() -> None:
    base = part_config("schedule", "constant", size=8.0)
    got = sizes("annealed", base=base, decay=0.5, hold=2)
    assert [size.item() for size in got] == [8.0, 8.0, 4.0, 2.0, 1.0, 0.5]


def test_schedules_nest() -> None:
    inner = part_config("schedule", "annealed", decay=0.5, hold=1)
    got = sizes("randomised", noisy=True, base=inner)
    torch.testing.assert_close(got[2], got[0] / 4)


def test_a_size_per_prediction_reaches_its_prediction() -> None:
    at = scene(batch=2, count=2, length=3)
    size = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(1)) * 0.1
    got = think(at.landscape, at.start, plan(size=size, steps=1))
    slope: Tensor = at.bowls.curvature[:, None, :, None] * (at.start - at.bowls.centre[:, None])
    torch.testing.assert_close(got.candidate, at.start - size.double()[..., None] * slope)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("constant", {"size": 0.0}),
        ("constant", {"size": math.nan}),
        ("learned", {"size": -1.0}),
        ("learned", {"count": 0}),
        ("learned", {"lr_factor": 0.0}),
        ("randomised", {"scale": 0.5}),
        ("randomised", {"distribution": "normal"}),
        ("annealed", {"decay": 0.0}),
        ("annealed", {"decay": 1.5}),
        ("annealed", {"hold": -1}),
    ],
)
def test_senseless_options_are_refused(name: str, plain: dict[str, object]) -> None:
    with pytest.raises(UserError):
        from_dict(type(part_config("schedule", name)), plain)
