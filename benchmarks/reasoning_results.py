"""Reasoning at equal parameters and training time: energy models against models that do not think.

Trains every model on every kind of problem with several seeds, for the same number of seconds (or
with ``--steps`` for as many optimiser steps), measures them on held-out problems as in training and
harder, and writes ``docs/results/reasoning.json``.

    python benchmarks/reasoning_results.py --per-gpu 8 --seconds 5

Seconds are those of a training that has the GPU to itself: paces are measured so, one after the
other, before trainings begin, which may then share a GPU.

A run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from argmind.errors import UserError
from argmind.eval.results import read_results
from argmind.quickstart.parameters import count_parameters
from argmind.text.run import TextRun
from argmind.train.distributed import resolve_device
from image_results import pace_s, with_steps
from jobs import Job, Named, Row, Script, alone, carry_out, kept_rows, options, trained
from reasoning_figures import figures
from reasoning_measures import Solving
from reasoning_pool import Pooled, make_pools
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
from reasoning_text import as_large, measured, text_recipe

#: Those whose training takes longest to come to an end, first.
_ORDER = (RECURSIVE, EBT, "ired", "loop", TEXT, "diffusion", "onepass")

#: The pace of a training is watched for so long, in one that would go on for ever.
_PACED_S = 1.5
_ENDLESS = 10**6
#: Jobs that measure the paces of a task's trainings, and of its variants.
PACES, PACES_OF_VARIANTS = "paces", "paces_of_variants"


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
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of training, times a task's share"
    )
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
    """Every model on every task, seed by seed; variants last, and first what takes longest.

    Where training is for a time, all paces are measured before.
    """
    tasks = sorted(arguments.tasks, key=lambda name: -TASKS[name].share)
    paced = [PACES, *([PACES_OF_VARIANTS] if arguments.variants else [])]
    named = [f"{task}_{kind}" for kind in paced for task in tasks]
    before = [Job(name) for name in named if paced_by(name, arguments)]
    before = before if arguments.steps is None else []
    first = tuple(job.key for job in before)
    rounds = [
        [name for task in tasks for name in paced_by(f"{task}_{kind}", arguments)] for kind in paced
    ]
    return before + [
        Job(name, seed, first)
        for names in rounds
        for seed in range(arguments.seeds)
        for name in names
    ]


def paced_by(name: str, arguments: argparse.Namespace) -> list[str]:
    """The jobs whose pace is measured by the one of this name."""
    task, kind = split_name(name)
    if kind == PACES_OF_VARIANTS:
        return [f"{task}_{model}" for model in variants_of(task)]
    models = sorted(arguments.models, key=_ORDER.index)
    return [f"{task}_{model}" for model in models if suits(model, task)]


def suits(model: str, task: str) -> bool:
    """Some write answers out, or are made for puzzles."""
    if model == TEXT:
        return TASKS[task].as_text
    return model != RECURSIVE or TASKS[task].puzzle


def prepare(arguments: argparse.Namespace) -> None:
    """Make all problems, before the processes start that are timed."""
    configs = {name: TASKS[name].data(arguments.problems) for name in arguments.tasks}
    make_pools(configs, arguments.pool)
    for name in arguments.tasks:
        if TEXT in arguments.models and TASKS[name].as_text:
            text_recipe(name, TASKS[name].problem, 0, arguments).data.build(seed=0)


def with_ablation(rows: Mapping[str, list[Row]], out: Path) -> Iterator[Named]:
    """All figures, and what thinking buys in text where ``system2.json`` lies beside ``out``."""
    yield from figures(rows)
    ablation = out.with_name("system2.json")
    if ablation.exists():
        for name, figure in read_results(ablation).figures.items():
            if name.startswith("text_") and "_gain_percent" in name:
                yield name, figure, figure.unit


def work(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train and measure; or measure paces."""
    task, model = split_name(name)
    if model in (PACES, PACES_OF_VARIANTS):
        return {"paces_s": dict(paces(paced_by(name, arguments), arguments))}
    recipe, data = subject(name, seed, arguments)
    pace = None if arguments.steps else pace_of(name, arguments)
    if pace:
        recipe = with_steps(recipe, max(1, round(arguments.seconds * TASKS[task].share / pace)))
    run, cost = trained(recipe, data)
    if pace:
        cost["training_s"] = cost["steps"] * pace
    if model != TEXT:
        return {**cost, "data_made_s": data.made_s, **Solving(run.predictor, data, seed).measure()}
    problems = TASKS[task].data(arguments.problems).build(seed=seed).problems
    found = measured(TextRun(run, data.tokenizer), problems, arguments.problems, seed)
    return {**cost, "data_made_s": 0.0, **found}


def subject(name: str, seed: int, arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Recipe and data of a training."""
    task, model = split_name(name)
    problems = TASKS[task].data(arguments.problems).build(seed=seed)
    if model != TEXT:
        data = Pooled(problems, arguments.pool, str(resolve_device("auto")))
        return equal_recipe(name, seed, arguments, data.model_inputs), data
    thinker = chosen_recipe(f"{task}_{EBT}", seed, arguments)
    parameters = count_parameters(thinker, problems.model_inputs)
    recipe = text_recipe(name, TASKS[task].problem, seed, arguments)
    text: Any = recipe.data.build(seed=seed)
    return as_large(recipe, parameters, text.model_inputs), text


def paces(names: list[str], arguments: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Seconds that a step of these trainings takes with the GPU to itself."""
    for name in names:
        try:
            recipe, data = subject(name, 0, arguments)
            with alone(arguments.out):
                yield name, pace_s(with_steps(recipe, _ENDLESS), data, _PACED_S)
        except Exception:  # others must not wait for it in vain; its own training will fail too
            traceback.print_exc()


def pace_of(name: str, arguments: argparse.Namespace) -> float:
    """What was measured for it before.

    Raises:
        UserError: it could not be measured.
    """
    for row in kept_rows(arguments.out):
        if name in row.get("paces_s", {}):
            return row["paces_s"][name]
    raise UserError(
        f"no pace of {name} was measured: its trial failed, or models were added since. Remove "
        f"the rows of paces from {arguments.out.with_suffix('.runs')}, and see what it says."
    )


if __name__ == "__main__":
    main()
