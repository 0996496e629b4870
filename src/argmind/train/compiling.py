"""When a step's work is compiled, and what must hold before it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from argmind.errors import UserError
from argmind.objectives.base import Objective
from argmind.train.distributed import World
from argmind.train.selftest import compiled_gradients
from argmind.train.work import Recorded, Work

#: Optimiser steps from which on compiling, which takes minutes, pays on a GPU.
LONG_RUN_STEPS = 2000


def worth_compiling(wish: bool | str, device: torch.device, steps: int) -> bool:
    """Whether to compile for so many steps, by the setting ``training.compile``."""
    if wish == "auto":
        return device.type == "cuda" and steps >= LONG_RUN_STEPS
    return wish in ("on", True)


def compiled(
    objective: Objective[Any],
    work: Work,
    batch: dict[str, Tensor],
    world: World,
    demanded: bool,
    say: Callable[[str], None],
) -> None:
    """Compile the objective's stages and test their gradients.

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


def recorded(
    objective: Objective[Any],
    work: Work,
    batch: dict[str, Tensor],
    generator: torch.Generator,
    share: int,
    say: Callable[[str], None],
) -> Work:
    """The same work as one CUDA graph, where it repeats itself on one GPU; else as it is."""
    if work.device.type != "cuda" or not objective.repeats:
        return work
    graph = Recorded(work.objective, work.precision, work.device)
    before = {name: rows.clone() for name, rows in objective.runtime_state().items()}
    try:
        graph.record(batch, generator, share)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # something in it waits for the host
        graph.zero_gradients()
        say(f"a step is not replayed as a CUDA graph: {_first_line(error)}")
        return work
    finally:
        objective.load_runtime_state(before)  # recording ran steps that do not count
    return graph


def _first_line(error: Exception) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return f"{type(error).__name__}: {next(filter(None, lines), 'no reason given')}"


def _problem(objective: Objective[Any], work: Work, batch: dict[str, Tensor]) -> str | None:
    if not objective.stages:
        return f"{type(objective).__name__} has no stages that can be compiled."
    try:
        finding = compiled_gradients(objective, batch, work)
    except torch.OutOfMemoryError:
        raise
    # What torch.compile raises, whatever part of it fails; compilers' own assertions too.
    except (RuntimeError, AssertionError) as error:
        return f"torch.compile failed ({_first_line(error)})."
    return None if finding.passed else str(finding)
