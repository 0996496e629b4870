"""Our samplers against those of diffusers, and those of diffusers as samplers of ours."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor

from argmind.diffusion.process import Process, process_for
from argmind.diffusion.sampling import Method, State, sample
from argmind.diffusion.schedulers import sample_by_scheduler
from argmind.errors import UserError
from diffusion.gaussian import MEAN, STD, Perfect, noise

pytest.importorskip("diffusers", reason="diffusers is not installed (extra 'image')")

# They warn of NumPy 2 in ways of their own.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SAME: list[tuple[Method, str]] = [
    ("ddpm", "DDPMScheduler"),
    ("ddim", "DDIMScheduler"),
    ("euler", "FlowMatchEulerDiscreteScheduler"),
]


def process_of(name: str) -> Process:
    return process_for("velocity" if name.startswith("Flow") else "epsilon")


def theirs(name: str, x: Tensor, start: Tensor, steps: int, clip: float | None) -> list[State]:
    process, generator = process_of(name), torch.Generator().manual_seed(3)
    network = Perfect(process)
    return list(sample_by_scheduler(network, process, name, x, start, steps, generator, clip=clip))


@pytest.mark.parametrize(("method", "name"), SAME)
@pytest.mark.parametrize("steps", [1, 4, 10])
def test_agreement(method: Method, name: str, steps: int) -> None:
    process, x = process_of(name), noise(6, 3)
    start = process.most_noise(x)
    generator = torch.Generator().manual_seed(3)
    path = process.path(start, steps)
    ours = list(sample(Perfect(process), process, method, x, path, generator))
    for mine, other in zip(ours, theirs(name, x, start, steps, None), strict=True):
        torch.testing.assert_close(mine.x, other.x, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mine.clean, other.clean, rtol=1e-4, atol=1e-5)
        assert torch.equal(mine.passes, other.passes)


def test_agreement_where_clean_data_is_told() -> None:
    process, x = process_for("clean"), noise(6, 3)
    start, network = process.most_noise(x), Perfect(process)
    ours = list(sample(network, process, "ddim", x, process.path(start, 10)))
    found = sample_by_scheduler(network, process, "DDIMScheduler", x, start, 10)
    for mine, other in zip(ours, found, strict=True):
        torch.testing.assert_close(mine.x, other.x, rtol=1e-4, atol=1e-5)


def test_agreement_from_a_noise_level_with_bounded_estimates() -> None:
    process, x = process_of("DDPMScheduler"), noise(6, 3)
    start = torch.full((6,), 599.0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    path = process.path(start, 20)
    ours = list(sample(Perfect(process), process, "ddpm", x, path, generator, clip=0.5))
    for mine, other in zip(ours, theirs("DDPMScheduler", x, start, 20, 0.5), strict=True):
        torch.testing.assert_close(mine.x, other.x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler"]
)
def test_faster_samplers_reach_the_data_in_few_steps(name: str) -> None:
    start = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    time = process_of(name).most_noise(start)
    want = MEAN + STD * start

    def error(which: str, steps: int) -> float:
        return float((theirs(which, start, time, steps, None)[-1].x - want).abs().max())

    assert error(name, 20) < 0.7 * error("DDIMScheduler", 20)


def test_no_more_steps_than_there_are_times() -> None:
    states = theirs("DDIMScheduler", noise(2, 3), torch.full((2,), 4.0), 50, None)
    assert states[-1].passes.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("DPMSolverMultistepSchedule", [9.0, 9.0], "Did you mean 'DPMSolverMultistepScheduler'"),
        ("AutoencoderKL", [9.0, 9.0], "unknown scheduler"),
        ("EulerDiscreteScheduler", [9.0, 9.0], "try DDIMScheduler"),
        ("DDIMScheduler", [9.0, 8.0], "one noise level"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, start: list[float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        theirs(name, noise(2, 3), torch.tensor(start, dtype=torch.float64), 3, None)


@pytest.mark.parametrize(
    ("name", "target"),
    [("DDIMScheduler", "velocity"), ("FlowMatchEulerDiscreteScheduler", "epsilon")],
)
def test_a_scheduler_for_another_process_is_refused(name: str, target: str) -> None:
    process, x = process_for("velocity" if target == "velocity" else "epsilon"), noise(2, 3)
    walk = sample_by_scheduler(Perfect(process), process, name, x, process.most_noise(x), 3)
    with pytest.raises(UserError, match="try"):
        next(walk)


def test_without_diffusers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"argmind\[image\]"):
        theirs("DDIMScheduler", noise(2, 3), torch.full((2,), 9.0), 3, None)
