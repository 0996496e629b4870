"""Samplers against closed forms: Gaussian data, whose perfect network is known."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from argmind.diffusion.process import VariancePreserving
from argmind.diffusion.sampling import Method, State, sample
from diffusion.gaussian import MEAN, PROCESSES, STD, Perfect, noise

every = pytest.mark.parametrize("method", PROCESSES)


def walk(method: Method, x: Tensor, steps: int, start: Tensor | None = None) -> list[State]:
    process = PROCESSES[method]
    path = process.path(process.most_noise(x) if start is None else start, steps)
    generator = torch.Generator().manual_seed(5)
    return list(sample(Perfect(process), process, method, x, path, generator))


@pytest.mark.parametrize("method", ["ddim", "euler", "heun"])
def test_noise_becomes_the_data(method: Method) -> None:
    last = walk(method, noise(4000, 1), 250)[-1].x
    assert last.mean() == pytest.approx(MEAN, abs=0.02)
    assert last.std() == pytest.approx(STD, rel=0.04)


def ancestral_moments(steps: int) -> tuple[float, float]:
    """Mean and deviation that DDPM's own formulas (equations 7 and 11) give Gaussian data."""
    process = VariancePreserving()
    mean, variance = 0.0, 1.0
    path = [int(time) for time in process.path(process.most_noise(noise(1)), steps)]
    for time, later in itertools.pairwise(path):
        share, then = (float(process.data_share[t + 1]) for t in (time, later))
        alpha = share / then
        gain = share**0.5 * STD**2 / (share * STD**2 + 1 - share)
        of_clean = then**0.5 * (1 - alpha) / (1 - share)
        of_noisy = alpha**0.5 * (1 - then) / (1 - share)
        slope = of_clean * gain + of_noisy
        mean = slope * mean + of_clean * (1 - gain * share**0.5) * MEAN
        variance = slope**2 * variance + (1 - then) / (1 - share) * (1 - alpha)
    return mean, variance**0.5


@pytest.mark.parametrize("steps", [3, 20, 250])
def test_ancestral_sampling_has_the_moments_of_its_formulas(steps: int) -> None:
    mean, std = ancestral_moments(steps)
    last = walk("ddpm", noise(20_000, 1), steps)[-1].x
    assert last.mean() == pytest.approx(mean, abs=0.01)
    assert last.std() == pytest.approx(std, rel=0.02)


def test_ancestral_sampling_reaches_the_data_in_many_steps() -> None:
    mean, std = ancestral_moments(1000)
    assert mean == pytest.approx(MEAN, abs=0.01)
    assert std == pytest.approx(STD, rel=0.05)
    assert abs(ancestral_moments(50)[1] - STD) > abs(std - STD)


@pytest.mark.parametrize("method", ["ddim", "euler", "heun"])
def test_a_walk_without_noise_keeps_the_order_of_its_starts(method: Method) -> None:
    """The flow of one-dimensional data maps quantiles to quantiles."""
    start = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    last = walk(method, start, 500)[-1].x
    torch.testing.assert_close(last, MEAN + STD * start, rtol=0, atol=0.02)


def test_heun_is_of_second_order() -> None:
    start = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]

    def error(method: Method, steps: int) -> float:
        return float((walk(method, start, steps)[-1].x - MEAN - STD * start).abs().max())

    assert error("heun", 20) < 0.3 * error("euler", 40)
    assert error("euler", 40) / error("euler", 80) == pytest.approx(2, rel=0.2)
    assert error("heun", 40) / error("heun", 80) > 3


@every
def test_one_step_is_the_conditional_mean(method: Method) -> None:
    process, x = PROCESSES[method], noise(5, 2)
    time = process.time_of(torch.full((5,), 0.5, dtype=torch.float64))
    (only,) = walk(method, x, 1, time)
    want = Perfect(process).clean(x, time)
    torch.testing.assert_close(only.x, want, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(only.clean, want, rtol=1e-6, atol=1e-6)


@every
def test_rows_walk_by_themselves(method: Method) -> None:
    process, x = PROCESSES[method], noise(3, 4)
    start = process.time_of(torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64))

    def last(rows: list[int]) -> State:
        path = process.path(start[rows], 9)
        generators = [torch.Generator().manual_seed(row) for row in rows]
        return list(sample(Perfect(process), process, method, x[rows], path, generators))[-1]

    whole = last([0, 1, 2])
    for row in range(3):
        alone = last([row])
        torch.testing.assert_close(alone.x[0], whole.x[row])
        assert alone.passes[0] == whole.passes[row]


@every
def test_passes_are_counted(method: Method) -> None:
    process = PROCESSES[method]
    network, x = Perfect(process), noise(2, 3)
    path = process.path(process.most_noise(x), 6)
    states = list(sample(network, process, method, x, path, torch.Generator()))
    assert states[-1].passes.tolist() == [network.calls] * 2
    assert network.calls == (11 if method == "heun" else 6)


@pytest.mark.parametrize("method", ["ddpm", "ddim"])
def test_a_step_that_stands_still_costs_nothing_and_changes_nothing(method: Method) -> None:
    process, x = PROCESSES[method], noise(2, 3)
    start = torch.tensor([4.0, 999.0], dtype=torch.float64)
    states = walk(method, x, 50, start)
    assert states[-1].passes.tolist() == [5, 50]
    clean = walk(method, x, 3, torch.full((2,), -1.0, dtype=torch.float64))
    assert torch.equal(clean[-1].x, x)
    assert clean[-1].passes.tolist() == [0, 0]
    assert process.path(start, 50)[-1].tolist() == [-1, -1]


@every
def test_estimates_are_kept_within_bounds(method: Method) -> None:
    process, x = PROCESSES[method], 10 * noise(50, 1)
    path = process.path(process.most_noise(x), 8)
    states = list(sample(Perfect(process), process, method, x, path, torch.Generator(), clip=0.5))
    assert all(state.clean.abs().max() <= 0.5 for state in states)
    assert states[-1].x.abs().max() <= 0.5 + 1e-9


@every
def test_what_is_known_is_put_back_after_every_step(method: Method) -> None:
    process, x = PROCESSES[method], noise(2, 3)
    seen: list[float] = []

    def hold(x: Tensor, time: Tensor | None) -> Tensor:
        if time is not None:
            seen.append(float(time[0]))
        return torch.cat([torch.full_like(x[:, :1], 7.0), x[:, 1:]], dim=1)

    path = process.path(process.most_noise(x), 4)
    walked = sample(Perfect(process), process, method, x, path, torch.Generator(), hold=hold)
    for state in walked:
        assert (state.x[:, 0] == 7).all()
        assert (state.clean[:, 0] == 7).all()
    assert seen == [float(time[0]) for time in path[1:]]
