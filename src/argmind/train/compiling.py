"""When a step's work is compiled, and what must hold before it is trusted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from argmind.errors import UserError
from argmind.objectives.base import Objective
from argmind.train.distributed import World
from argmind.train.selftest import compiled_gradients
from argmind.train.work import Recorded, Work

#: Optimiser steps from which on compiling, which takes a minute or two, pays on a GPU.
_LONG_RUN_STEPS = 500


def worth_compiling(wish: bool | str, device: torch.device, steps: int) -> bool:
    """Whether to compile for so many steps, by the setting ``training.compile``."""
    if wish == "auto":
        return device.type == "cuda" and steps >= _LONG_RUN_STEPS
    return wish in ("on", True)


def compiled(
    objective: Objective[nn.Module],
    work: Work,
    batch: dict[str, Tensor],
    world: World,
    demanded: bool,
    say: Callable[[str], None],
) -> Work:
    """Compile the objective's stages, test their gradients, and return the work to train with.

    If they cannot be compiled, or come out wrong, training goes on uncompiled and ``say`` tells
    why; where compiling was ``demanded``, it does not begin.

    Raises:
        UserError: compiling was demanded, and it failed on some process.
    """
    for stage in objective.stages:
        stage.compile()
    problem = _problem(objective, work, batch)
    if world.largest(int(problem is not None)):
        for stage in objective.stages:
            stage.give_up()
        why = problem or "another process of this run could not compile."
        if demanded:
            raise UserError(f"training.compile is on, but {why} Or set training.compile=off.")
        say(f"training uncompiled: {why}")
        return work
    if world.size == 1 and work.device.type == "cuda" and objective.repeats:
        return Recorded(work.objective, work.precision, work.device)
    return work


def _problem(objective: Objective[nn.Module], work: Work, batch: dict[str, Tensor]) -> str | None:
    if not objective.stages:
        return f"{type(objective).__name__} has no stages that can be compiled."
    try:
        finding = compiled_gradients(objective, batch, work)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # what torch.compile raises, whatever part of it fails
        first = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        return f"torch.compile failed ({type(error).__name__}: {first.strip()})."
    return None if finding.passed else str(finding)
