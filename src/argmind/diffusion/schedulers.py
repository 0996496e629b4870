"""Samplers by the schedulers of `diffusers`, such as ``DPMSolverMultistepScheduler``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from argmind.diffusion.process import Process, VariancePreserving, beta_schedule
from argmind.diffusion.sampling import Hold, Network, State, as_it_is
from argmind.errors import UserError, unknown
from argmind.randomness import Randomness


def sample_by_scheduler(
    network: Network,
    process: Process,
    name: str,
    x: Tensor,
    start: Tensor,
    steps: int,
    generator: Randomness = None,
    clip: float | None = None,
    hold: Hold = as_it_is,
) -> Iterator[State]:
    """Like :func:`argmind.diffusion.sampling.sample`, from times ``start`` (B,), all the same.

    Where fewer than ``steps`` discrete times are left, every one of them is a step.

    Raises:
        UserError: rows start at different times; `diffusers` is not installed, has no such
            scheduler, or that one does not go with the process.
    """
    if (start != start[0]).any():
        raise UserError(
            f"{name} takes one noise level for a whole batch, and these differ: use ddpm, ddim, "
            "euler or heun, or batches of one."
        )
    whole = _whole(process)
    scheduler = _scheduler(process, name, float(start[0]), clip)
    _plan(scheduler, name, process, float(start[0]), steps, x.device)
    accepted = inspect.signature(scheduler.step).parameters
    options = {"generator": generator} if "generator" in accepted else {}
    passes = torch.zeros(len(x), dtype=torch.long, device=x.device)
    times = [torch.full_like(start, float(told) / whole) for told in scheduler.timesteps]
    for told, time, later in zip(scheduler.timesteps, times, [*times[1:], None], strict=True):
        said = network(x, time)
        clean = process.clean(x, said, time)
        x = scheduler.step(said, told, x, **options).prev_sample.to(x.dtype)
        x = hold(x, later)
        clean = clean if clip is None else clean.clamp(-clip, clip)
        passes = passes + 1
        yield State(x, hold(clean, None), passes, passes)


def _whole(process: Process) -> float:
    """What a scheduler calls a unit of the process's time."""
    return 1.0 if isinstance(process, VariancePreserving) else 1000.0


def _scheduler(process: Process, name: str, start: float, clip: float | None) -> Any:
    """The scheduler of this name for the process up to time ``start``."""
    kind = find_scheduler(name, process)
    if not isinstance(process, VariancePreserving):
        return kind()
    accepted = inspect.signature(kind.__init__).parameters
    # A walk from time t is a whole walk of the schedule that ends at t.
    betas = beta_schedule(process.betas, process.times)[: int(start) + 1]
    wanted = {
        "trained_betas": betas.numpy(),
        "num_train_timesteps": len(betas),
        "prediction_type": "sample" if process.tells == "clean" else "epsilon",
        "timestep_spacing": "trailing",
        "clip_sample": clip is not None,
        "clip_sample_range": clip or 1.0,
        "thresholding": False,
    }
    scheduler = kind(**{key: value for key, value in wanted.items() if key in accepted})
    if float(scheduler.init_noise_sigma) != 1:
        raise UserError(f"{name} scales its samples in a way of its own: try DDIMScheduler.")
    return scheduler


def _plan(
    scheduler: Any, name: str, process: Process, start: float, steps: int, device: torch.device
) -> None:
    """Set the scheduler's times."""
    try:
        if isinstance(process, VariancePreserving):
            scheduler.set_timesteps(min(steps, int(start) + 1), device=device)
        else:
            sigmas = [start * (1 - step / steps) for step in range(steps)]
            scheduler.set_timesteps(sigmas=sigmas, device=device)
    except ValueError as error:
        raise UserError(f"{name} cannot take {steps} steps: {error}") from error


def find_scheduler(name: str, process: Process) -> Any:
    """The class of `diffusers` of this name.

    Raises:
        UserError: `diffusers` is not installed, has no such scheduler, or that one does not go
            with the process.
    """
    try:
        package = importlib.import_module("diffusers")
    except ImportError as error:
        raise UserError(
            f"the sampler {name} needs the package 'diffusers': pip install 'argmind[image]'."
        ) from error
    kind = getattr(package, name, None)
    if kind is None or not hasattr(kind, "set_timesteps"):
        known = [word for word in dir(package.schedulers) if word.endswith("Scheduler")]
        raise unknown("scheduler of diffusers", name, known)
    if isinstance(process, VariancePreserving):
        if "trained_betas" not in inspect.signature(kind.__init__).parameters:
            raise UserError(
                f"{name} is for flows, and this network tells noise: try DDIMScheduler."
            )
    elif "sigmas" not in inspect.signature(kind.set_timesteps).parameters:
        raise UserError(f"{name} cannot walk a flow: try FlowMatchEulerDiscreteScheduler.")
    return kind
