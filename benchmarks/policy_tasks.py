"""The tasks and models of ``policy_results.py``: environments, demonstrations, recipes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

EBT, DIFFUSION, REGRESSION = "ebt", "diffusion", "regression"


@dataclass(frozen=True)
class Model:
    """One of those compared: its recipe, less the name of the task, and how it is asked."""

    recipe: str
    kind: Literal["ebt", "dp", "bc"]  # in which ways it is asked
    short: str  # what figures call it
    named: str = "{}"  # what figures make of its ways
    longer: bool = False  # trained for --longer times the steps


#: The longest first, so that none is left over at the end.
MODELS: Mapping[str, Model] = {
    "published": Model("ebt_published", "ebt", "published", "published_{}"),
    EBT: Model("ebt", "ebt", "ebt"),
    "diffusion-long": Model("diffusion", "dp", "dp_long", "{}_long", longer=True),
    "regression-long": Model("regression", "bc", "bc_long", "{}_long", longer=True),
    DIFFUSION: Model("diffusion", "dp", "dp"),
    REGRESSION: Model("regression", "bc", "bc"),
}
#: Those that are compared at equal steps; the others are done where asked for.
EQUAL = (EBT, DIFFUSION, REGRESSION)
WIDTH = "predictor.transformer.feedforward.multiplier"


@dataclass(frozen=True)
class Task:
    """One environment as the comparison has it."""

    environment: str
    recipe: str  # less the name of the model
    #: Demonstrations made where there are none, and settings of the environment for them.
    demonstrations: int
    settings: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    #: Before this step a hand disturbs the episode, where there is something that it can move.
    perturb_at: int


def _metaworld(task: str, perturb_at: int) -> Task:
    return Task("metaworld", "policy_metaworld", 50, perturb_at, settings={"task": f"{task}-v3"})


#: Tasks, and when a hand moves their objects: before any expert's hand closes or lifts them, and
#: just before a plan. It cannot move the door.
METAWORLD = {"push": 15, "pick-place": 15, "door-open": 15, "peg-insert-side": 15, "assembly": 7}
TASKS: Mapping[str, Task] = {
    "pusht": Task("pusht", "policy_pusht", 500, 100, settings={"state": "keypoints"}),
    **{f"metaworld-{task}": _metaworld(task, at) for task, at in METAWORLD.items()},
    "pointmaze": Task("pointmaze", "policy_pointmaze", 100, 80),
    "point": Task("point", "policy_point", 100, 16),
}


def task_of(job: str) -> tuple[str, str]:
    """Task and model of a job's name."""
    task, _, model = job.rpartition("_")
    return task, model


def demonstrations(task: str, arguments: argparse.Namespace) -> Path:
    """The folder of a task's demonstrations."""
    given = arguments.pusht if task == "pusht" else None
    return given or arguments.demos / task


def prepare(arguments: argparse.Namespace) -> None:
    """Record the demonstrations that are not there, by the experts of their environments."""
    from argmind.policy.demos import record

    for name in arguments.tasks:
        folder, task = demonstrations(name, arguments), TASKS[name]
        if not folder.exists():
            workers = min(task.demonstrations, os.cpu_count() or 1)
            settings = dict(task.settings)
            record(folder, task.environment, settings, task.demonstrations, workers=workers)


def chosen_recipe(task: str, model: str, seed: int, arguments: argparse.Namespace) -> Any:
    """The recipe of a job: the same data, batches and steps for all models."""
    from argmind.recipes.base import customised, find_recipe

    recipe = find_recipe(f"{TASKS[task].recipe}_{MODELS[model].recipe}")
    thinks = MODELS[model].kind == "ebt"
    transformer = "predictor.body.transformer" if thinks else "predictor.transformer"
    sizes = {
        "num_layers": arguments.layers,
        "num_heads": arguments.heads,
        "hidden_dim": arguments.dim,
    }
    settings = [
        f"data.source='{demonstrations(task, arguments)}'",
        *(f"{transformer}.{name}={size}" for name, size in sizes.items() if size is not None),
        *([f"optimizer.lr={arguments.lr!r}"] if arguments.lr is not None else []),
        f"training.seed={seed}",
        f"training.batch_size={arguments.batch_size}",
        "training.eval_every=0",
        "training.compile=replay",
        f"training.keep={arguments.points}",
        *arguments.set,
    ]
    return customised(recipe, None, settings)


def equal_recipe(task: str, model: str, seed: int, arguments: argparse.Namespace, data: Any) -> Any:
    """The recipe with as many steps as asked for, widened to the energy model's parameters.

    One that cannot be so narrow or wide stays as it is; figures tell the parameters of all.
    """
    from argmind.quickstart.parameters import count_parameters, matched

    times = arguments.longer if MODELS[model].longer else 1
    recipe = with_steps(chosen_recipe(task, model, seed, arguments), data, arguments, times)
    if MODELS[model].kind == "ebt":
        return recipe
    wanted = count_parameters(chosen_recipe(task, EBT, seed, arguments), data.model_inputs)
    try:
        return matched(recipe, WIDTH, wanted, data.model_inputs)
    except ValueError:
        return recipe


def with_steps(recipe: Any, data: Any, arguments: argparse.Namespace, times: float) -> Any:
    """Optimiser steps by number or by epochs, ``times`` as many; a checkpoint every so often."""
    training, steps = recipe.training, arguments.steps
    if arguments.epochs is not None:
        steps = round(arguments.epochs * data.samples_per_epoch / training.batch_size)
    steps = max(arguments.points, round(times * steps))
    training = replace(training, steps=steps, checkpoint_every=-(-steps // arguments.points))
    warm = replace(recipe.optimizer, warmup_steps=max(1, steps // 20))
    return replace(recipe, training=training, optimizer=warm)
