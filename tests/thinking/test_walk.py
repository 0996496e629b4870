"""The loop at inference: traces, accept-if-lower, divergence, selection."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from argmind.config import part_config
from argmind.thinking.select import choose, pick
from argmind.thinking.think import Thought, think
from thinking.toys import Bowls, Scene, plan, scene

SIZES = (0.01, 0.3, 1.0, 5.0, 1e3, 1e30)


def energy_at(at: Scene, y: Tensor, step: int = 0) -> Tensor:
    return at.landscape.energy(y, step)


def test_trace_holds_every_step() -> None:
    at = scene(count=2)
    got = think(at.landscape, at.start, plan(steps=4, keep=True))
    assert len(got.candidates) == len(got.energies) == 5
    assert torch.equal(got.candidates[0], at.start)
    assert torch.equal(got.candidates[-1], got.candidate)
    assert got.energy is got.energies[-1]
    for y, energy in zip(got.candidates, got.energies, strict=True):
        torch.testing.assert_close(energy, energy_at(at, y))


@pytest.mark.parametrize("accept_lower", [False, True])
@pytest.mark.parametrize("rule", ["gradient", "momentum"])
@pytest.mark.parametrize("size", [0.3, 3.0])
def test_a_longer_thought_begins_as_a_shorter_one(
    rule: str, accept_lower: bool, size: float
) -> None:
    at = scene(count=2, tilt=0.01)
    options = {"rule": rule, "size": size, "accept_lower": accept_lower}
    long = think(at.landscape, at.start, plan(**options, steps=5, keep=True))
    for steps in range(5):
        short = think(at.landscape, at.start, plan(**options, steps=steps))
        assert short.energy is not None
        torch.testing.assert_close(short.candidate, long.candidates[steps])
        torch.testing.assert_close(short.energy, long.energies[steps])


def test_without_a_trace_only_energies_are_kept() -> None:
    at = scene()
    got = think(at.landscape, at.start, plan(steps=4))
    assert got.candidates == []
    assert len(got.energies) == 5


def test_no_step_at_all_scores_the_start() -> None:
    at = scene()
    got = think(at.landscape, at.start, plan(steps=0))
    assert torch.equal(got.candidate, at.start)
    assert got.energy is not None
    torch.testing.assert_close(got.energy, energy_at(at, at.start))
    for each in (got.steps, got.nfe, got.diverged):
        assert not each.any()


# ---------------------------------------------------------------------- accept only if lower


@pytest.mark.parametrize("rule", ["gradient", "momentum"])
@pytest.mark.parametrize("size", SIZES)
def test_accept_lower_never_climbs(rule: str, size: float) -> None:
    at = scene(batch=2, count=2, length=4)
    got = think(at.landscape, at.start, plan(rule, size, steps=12, accept_lower=True, keep=True))
    for before, after in zip(got.energies, got.energies[1:], strict=False):
        assert (after <= before).all()
    for y, energy in zip(got.candidates, got.energies, strict=True):
        torch.testing.assert_close(energy, energy_at(at, y))
    assert got.energy is got.energies[-1]
    assert torch.equal(got.candidates[-1], got.candidate)
    assert not got.diverged.any()


def test_accept_lower_halves_until_it_gets_lower() -> None:
    at = scene(batch=1, length=1)
    curvature = float(at.bowls.curvature)
    size = 14 / curvature  # lower only from an eighth on: |1 − 14 / 8| < 1
    got = think(at.landscape, at.start, plan(size=size, steps=4, accept_lower=True, keep=True))
    assert [torch.equal(y, at.start) for y in got.candidates] == [True] * 4 + [False]
    want = at.bowls.centre[:, None] + (1 - 14 / 8) * (at.start - at.bowls.centre[:, None])
    torch.testing.assert_close(got.candidate, want)


def test_accept_lower_comes_back_from_where_there_is_no_energy() -> None:
    at = scene(batch=2, length=3, wall=20.0)
    wild = plan(size=1e3, steps=20)
    assert think(at.landscape, at.start, wild).diverged.all()
    got = think(at.landscape, at.start, plan(size=1e3, steps=20, accept_lower=True))
    assert not got.diverged.any()
    assert got.energy is not None
    assert (got.energy < energy_at(at, at.start)).all()


# ---------------------------------------------------------------------- divergence


@pytest.mark.parametrize("accept_lower", [False, True])
@pytest.mark.parametrize("stop", ["fixed", "plateau", "gradient_norm"])
def test_weights_that_are_not_numbers(accept_lower: bool, stop: str) -> None:
    at = scene(batch=2, length=3)
    at.bowls.curvature[1, 2] = float("nan")
    never = {} if stop == "fixed" else {"tolerance": 1e-9}
    asked = plan(steps=3, stop=part_config("stop", stop, **never), accept_lower=accept_lower)
    got = think(at.landscape, at.start, asked)
    only = torch.zeros(2, 1, 3, dtype=torch.bool)
    only[1, 0, 2] = True
    assert torch.equal(got.diverged, only)
    assert got.candidate.isfinite().all()
    assert torch.equal(got.candidate[only], at.start[only])
    assert torch.equal(got.steps == 3, ~only)
    assert torch.equal(got.nfe, torch.where(only, 1, 3))


def test_a_diverged_prediction_stays_where_it_last_was_finite() -> None:
    at = scene(batch=1, length=2, wall=5.0)
    sizes = torch.tensor([[[0.01, 1e3]]], dtype=torch.float64)
    got = think(at.landscape, at.start, plan(size=sizes, steps=4, keep=True))
    assert got.diverged.flatten().tolist() == [False, True]
    assert got.steps.flatten().tolist() == [4, 1]
    for y in got.candidates[1:]:
        assert torch.equal(y[:, :, 1], got.candidate[:, :, 1])


@pytest.mark.parametrize("accept_lower", [False, True])
def test_a_move_out_of_the_finite_numbers_is_not_made(accept_lower: bool) -> None:
    at = scene(batch=1, length=2)
    start = at.bowls.centre[:, None] + 100.0
    sizes = torch.tensor([[[0.01, 1e308]]], dtype=torch.float64)
    got = think(at.landscape, start, plan(size=sizes, steps=1, accept_lower=accept_lower))
    assert got.diverged.flatten().tolist() == [False, True]
    assert torch.equal(got.candidate[:, :, 1], start[:, :, 1])


def test_a_start_that_is_not_finite_is_flagged() -> None:
    at = scene()
    at.start[0, 0, 1, 2] = float("inf")
    for steps in (0, 2):
        got = think(at.landscape, at.start, plan(steps=steps))
        assert got.diverged.sum() == 1
        assert got.diverged[0, 0, 1]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    exponent=st.floats(-300, 300),
    rule=st.sampled_from(["gradient", "momentum"]),
    stop=st.sampled_from(["fixed", "plateau", "gradient_norm"]),
    accept_lower=st.booleans(),
    steps=st.integers(0, 6),
)
def test_any_step_size_ends_finite_or_flagged(
    exponent: float, rule: str, stop: str, accept_lower: bool, steps: int
) -> None:
    at = scene(batch=2, count=2, length=3)
    asked = plan(
        rule,
        10.0**exponent,
        steps=steps,
        stop=part_config("stop", stop),
        accept_lower=accept_lower,
        keep=True,
    )
    got = think(at.landscape, at.start, asked)
    assert got.energy is not None
    assert got.candidate.isfinite().all()
    assert (got.energy.isfinite() | got.diverged).all()
    assert (got.steps <= steps).all()
    assert (got.steps <= got.nfe).all()
    sound = ~got.diverged
    last = len(got.energies) - 1
    torch.testing.assert_close(got.energy[sound], energy_at(at, got.candidate, last)[sound])
    if accept_lower:
        assert (got.energy <= got.energies[0])[sound].all()


# ---------------------------------------------------------------------- selection


def thought(first: Tensor, last: Tensor, diverged: Tensor) -> Thought:
    y = torch.arange(last.numel(), dtype=torch.float64).view(*last.shape, 1)
    count = torch.zeros_like(diverged, dtype=torch.long)
    return Thought(y, last, count, count, diverged, [first, last], [])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), how=st.sampled_from(["min_energy", "max_drop"]))
def test_choosing_is_brute_force_per_prediction(seed: int, how: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, last = torch.randn(2, 2, 3, 4, generator=generator, dtype=torch.float64)
    diverged = torch.rand(2, 3, 4, generator=generator) < 0.3
    last[diverged] = float("nan")
    given = thought(first, last, diverged)
    index = choose(given, how)  # type: ignore[arg-type]
    kept = pick(given.candidate, index)
    for b in range(2):
        for s in range(4):
            sound = [n for n in range(3) if not diverged[b, n, s]] or [0]
            merit = last - (first if how == "max_drop" else 0)
            best = min(sound, key=lambda n: float(merit[b, n, s]))
            assert index[b, s] == best
            assert torch.equal(kept[b, s], given.candidate[b, best, s])


def test_overflow_is_better_than_having_diverged() -> None:
    huge = torch.finfo(torch.float32).max
    first = torch.tensor([[[0.0], [-huge]]])
    last = torch.tensor([[[float("nan")], [huge]]])
    diverged = torch.tensor([[[True], [False]]])
    assert choose(thought(first, last, diverged), "max_drop").item() == 1


def test_the_largest_drop_needs_no_trace() -> None:
    at = scene(batch=1, count=2, length=1)
    at.landscape.state = Bowls(torch.ones(1, 1).double(), torch.zeros_like(at.bowls.centre))
    start = torch.tensor([1.0, 3.0], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 1, 3)
    got = think(at.landscape, start, plan(steps=1))
    assert choose(got, "min_energy").item() == 0
    assert choose(got, "max_drop").item() == 1


def test_an_unscored_thought_cannot_be_chosen_from() -> None:
    at = scene()
    got = think(at.landscape, at.start, plan(steps=1, through="all"))
    with pytest.raises(ValueError, match="scored"):
        choose(got, "min_energy")
