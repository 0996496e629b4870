"""Noising processes against their definitions."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from argmind.diffusion.noise_level import noise_level
from argmind.diffusion.process import Process, Target, VariancePreserving, process_for

PROCESSES = {
    "linear": process_for("epsilon", "linear"),
    "cosine": process_for("epsilon", "cosine"),
    "flow": process_for("velocity"),
    "clean": process_for("clean", "cosine"),
}

every = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def times(process: Process, rows: int, seed: int = 0) -> Tensor:
    return process.draw(normal(rows), torch.Generator().manual_seed(seed))


@every
def test_what_is_asked_of_the_network_gives_the_data_back(process: Process) -> None:
    x, noise, time = normal(64, 3, 2), normal(64, 3, 2, seed=1), times(process, 64)
    noised = process.noised(x, noise, time)
    clean = process.clean(noised, process.target(x, noise, time), time)
    torch.testing.assert_close(clean, x, rtol=1e-6, atol=1e-6)


@every
def test_training_times_cover_the_whole_path(process: Process) -> None:
    told = process.embedded(times(process, 4000))
    assert told.min() >= 0
    assert told.max() <= 1
    assert torch.histc(told, 10, min=0, max=1).min() > 300


@every
def test_a_level_and_its_time(process: Process) -> None:
    levels = torch.tensor([0.05, 0.3, 1.0, 4.0], dtype=torch.float64)
    scales = process.scales(process.time_of(levels), levels)
    torch.testing.assert_close(scales.noise / scales.data, levels, rtol=0.05, atol=0)


@every
def test_no_noise_is_the_end_of_every_path(process: Process) -> None:
    nothing = torch.zeros(2, dtype=torch.float64)
    end = process.time_of(nothing)
    assert process.scales(end, nothing).noise.abs().max() == 0
    path = process.path(process.most_noise(normal(2)), 7)
    assert len(path) == 8
    assert torch.equal(path[-1], end)
    assert all((later < time).all() for time, later in itertools.pairwise(path))
    last = process.scales(path[0], nothing)
    assert (last.data < 0.01).all()
    assert (last.noise > 0.99).all()


@pytest.mark.parametrize("betas", ["linear", "cosine"])
def test_variance_is_preserved(betas: str) -> None:
    process = PROCESSES[betas]
    at = torch.arange(-1, 1000).double()
    scales = process.scales(at, at)
    torch.testing.assert_close(scales.data**2 + scales.noise**2, torch.ones_like(at))
    assert (scales.noise.diff() > 0).all()


def test_a_schedule_is_kept_whole_in_single_precision() -> None:
    """Cumulative products of a thousand factors are taken in double precision."""
    process = VariancePreserving()
    single = process.scales(torch.tensor([999.0]), torch.zeros(1)).data
    double = process.scales(torch.tensor([999.0]), torch.zeros(1).double()).data
    torch.testing.assert_close(single.double(), double, rtol=1e-7, atol=0)


def test_told_clean_data_is_taken_as_it_is() -> None:
    process, x = PROCESSES["clean"], normal(2, 3)
    noise, most = normal(2, 3, seed=1), process.most_noise(x)
    assert torch.equal(process.target(x, noise, most), x)
    assert torch.equal(process.clean(noise, x, most), x), "even where nothing but noise is left"


@pytest.mark.parametrize("target", ["epsilon", "velocity", "clean"])
def test_nothing_of_a_process_is_saved(target: Target) -> None:
    assert not process_for(target).state_dict()


def test_noise_is_read_off_a_smooth_picture() -> None:
    ramp = torch.linspace(-1, 1, 32, dtype=torch.float64)
    picture = (ramp[:, None] * ramp)[None, None].expand(4, 1, 32, 32)
    levels = torch.tensor([0.0, 0.1, 0.3, 1.0], dtype=torch.float64)
    noise = normal(4, 1, 32, 32)
    found = noise_level(picture + levels[:, None, None, None] * noise)
    torch.testing.assert_close(found[1:], levels[1:], rtol=0.15, atol=0)
    assert found[0] < 0.01
    torch.testing.assert_close(
        noise_level(noise[..., :31, :31]), found.new_ones(4), rtol=0.2, atol=0
    )
