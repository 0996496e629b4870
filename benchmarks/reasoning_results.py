"""Reasoning at equal parameters and training time: energy models against models that do not think.

Trains every model on every kind of problem with several seeds, for the same number of seconds (or
with ``--steps`` for as many optimiser steps), measures them on held-out problems as in training and
harder, and writes ``docs/results/reasoning.json``.

    python benchmarks/reasoning_results.py --per-gpu 4 --seconds 8

A run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from argmind.train.distributed import resolve_device
from image_results import lasting, with_steps
from jobs import Job, Named, Row, Script, alone, carry_out, options, trained
from reasoning_figures import figures
from reasoning_tasks import (
    EBT,
    MODELS,
    RECURSIVE,
    TASKS,
    TEXT,
    chosen_recipe,
    equal_recipe,
    split_name,
    variants_of,
)

#: Those whose training takes longest to come to an end, first.
_ORDER = (RECURSIVE, EBT, "ired", "loop", TEXT, "diffusion", "onepass")

#: A training may last so many times longer than was planned by its pace.
_PATIENCE = 2.5


def main() -> None:
    """Run everything, or one job (as a process of its own)."""
    arguments = _arguments()
    script = Script(
        jobs=chosen_jobs(arguments),
        work=partial(work, arguments=arguments),
        figures=partial(with_ablation, out=arguments.out),
        prepare=partial(prepare, arguments),
    )
    carry_out(arguments, script)


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, "docs/results/reasoning.json")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--variants", action="store_true", help="energy models less one thing too")
    parser.add_argument("--seconds", type=float, default=20.0, help="of training, of a task's one")
    parser.add_argument("--steps", type=int, help="optimiser steps, in place of seconds")
    parser.add_argument("--batch-size", type=int, help="of all tasks (default: each its own)")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--dim", type=int, default=96)
    parser.add_argument("--pool", type=int, default=1 << 18, help="training problems made")
    parser.add_argument("--problems", type=int, default=1000, help="held out, of each split")
    return parser.parse_args()


def chosen_jobs(arguments: argparse.Namespace) -> list[Job]:
    """Every model on every task, seed by seed; variants last, and first what takes longest."""
    tasks = sorted(arguments.tasks, key=lambda name: -TASKS[name].share)
    models = sorted(arguments.models, key=_ORDER.index)
    names = [f"{task}_{model}" for task in tasks for model in models if suits(model, task)]
    further = [f"{task}_{model}" for task in tasks for model in variants_of(task)]
    rounds = [names, further] if arguments.variants else [names]
    return [Job(name, seed) for part in rounds for seed in range(arguments.seeds) for name in part]


def suits(model: str, task: str) -> bool:
    """Some write answers out, or are made for puzzles."""
    if model == TEXT:
        return TASKS[task].as_text
    return model != RECURSIVE or TASKS[task].puzzle


def prepare(arguments: argparse.Namespace) -> None:
    """Make all problems, before the processes start that are timed."""
    from reasoning_pool import make_pools
    from reasoning_text import text_recipe

    configs = {name: TASKS[name].data(arguments.problems) for name in arguments.tasks}
    make_pools(configs, arguments.pool)
    for name in arguments.tasks:
        if TEXT in arguments.models and TASKS[name].as_text:
            text_recipe(name, TASKS[name].problem, 0, arguments).data.build(seed=0)


def with_ablation(rows: Mapping[str, list[Row]], out: Path) -> Iterator[Named]:
    """All figures, and what thinking buys in text where ``system2.json`` lies beside ``out``."""
    from argmind.eval.results import read_results

    yield from figures(rows)
    ablation = out.with_name("system2.json")
    if ablation.exists():
        for name, figure in read_results(ablation).figures.items():
            if name.startswith("text_") and "_gain_percent" in name:
                yield name, figure, figure.unit


def work(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train and measure."""
    from reasoning_measures import Solving
    from reasoning_pool import Pooled

    task_name, model = split_name(name)
    task = TASKS[task_name]
    if model == TEXT:
        return work_on_text(name, seed, arguments)
    config = task.data(arguments.problems)
    device = str(resolve_device("auto"))
    data = Pooled(config.build(seed=seed), arguments.pool, device)
    recipe = equal_recipe(name, seed, arguments, data.model_inputs)
    with alone(arguments.out):
        run, cost = trained(timed(recipe, data, arguments), data)
    return {**cost, "data_made_s": data.made_s, **Solving(run.predictor, data, seed).measure()}


def work_on_text(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """The same of a model that writes its answers out."""
    from argmind.quickstart.parameters import count_parameters
    from argmind.text.run import TextRun
    from reasoning_text import as_large, measured, text_recipe

    task_name, _ = split_name(name)
    task = TASKS[task_name]
    problems = task.data(arguments.problems).build(seed=seed)
    thinker = chosen_recipe(f"{task_name}_{EBT}", seed, arguments)
    parameters = count_parameters(thinker, problems.model_inputs)
    recipe = text_recipe(name, task.problem, seed, arguments)
    data: Any = recipe.data.build(seed=seed)
    recipe = as_large(recipe, parameters, data.model_inputs)
    with alone(arguments.out):
        run, cost = trained(timed(recipe, data, arguments), data)
    asked = TextRun(run, data.tokenizer)
    found = measured(asked, problems.problems, arguments.problems, seed)
    return {**cost, "data_made_s": 0.0, **found}


def timed(recipe: Any, data: Any, arguments: argparse.Namespace) -> Any:
    """The recipe with its steps, or as many as there is time for.

    It is broken off where others on the GPU have slowed it down beyond measure.
    """
    if arguments.steps is not None:
        return with_steps(recipe, arguments.steps)
    for_s = arguments.seconds * TASKS[split_name(recipe.name)[0]].share
    found = lasting(for_s, recipe, data)
    limit = replace(found.training, stop_after_minutes=_PATIENCE * for_s / 60)
    return replace(found, training=limit)


if __name__ == "__main__":
    main()
