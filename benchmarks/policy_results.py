"""Robot policies at equal data, parameters and steps: EBT-Policy, Diffusion Policy, regression.

Trains all three on demonstrations of every task with several seeds, lets them act in the same
episodes, and writes ``docs/results/policy.json``.

    python benchmarks/policy_results.py --demos demos --pusht demos/pusht --per-gpu 3

Demonstrations that are not there are made by the experts of their environments. A run that is
stopped goes on where it was. Where GPUs and simulators lie on different machines:

    python benchmarks/policy_results.py --demos demos --train-only runs/policy
    python benchmarks/policy_results.py --rollouts-only runs/policy

or where both go on at once, the second with ``--wait 600``.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from jobs import Job, Row, Script, carry_out, kept_rows, options
from policy_figures import TIMING, figures
from policy_runs import stored_at, train, trained_run
from policy_tasks import EQUAL, MODELS, TASKS, prepare

#: Where the findings of ``--train-only`` go, inside its folder.
_TRAINING = "training.json"


def main() -> None:
    """Run everything, or one job (as a process of its own)."""
    arguments = _arguments()
    script = Script(
        jobs=chosen_jobs(arguments),
        work=partial(work, arguments=arguments),
        figures=figures,
        prepare=lambda: None if arguments.rollouts_only else prepare(arguments),
    )
    carry_out(arguments, script)


def _arguments() -> argparse.Namespace:
    from argmind.quickstart.policy_ways import WAYS

    keys = [way.key for way in WAYS]
    parser = options(__doc__, "docs/results/policy.json")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(EQUAL))
    parser.add_argument("--ways", nargs="+", choices=keys, default=keys)
    parser.add_argument("--demos", type=Path, default=Path("demos"), help="a folder for every task")
    parser.add_argument("--pusht", type=Path, help="demonstrations of Push-T (default: in --demos)")
    parser.add_argument("--steps", type=int, default=2000, help="optimiser steps of every model")
    parser.add_argument("--epochs", type=float, help="passes over the data, in place of steps")
    longer = "…-long models: times the steps, such as make up for what a step costs less"
    parser.add_argument("--longer", type=float, default=9, help=longer)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, help="default: the recipe's")
    for name in ("layers", "heads", "dim"):
        parser.add_argument(f"--{name}", type=int, help="default: the recipe's")
    parser.add_argument("--episodes", type=int, default=50, help="seeds from 100000 on")
    parser.add_argument("--points", type=int, default=4, help="checkpoints along a training")
    parser.add_argument("--curve-episodes", type=int, default=20, help="at each of them; 0: none")
    parser.add_argument("--samples", type=int, default=8, help="that tell a spread; 0: no gauge")
    parser.add_argument("--gauge-episodes", type=int, help="of the gauge (default: all)")
    parser.add_argument("--max-steps", type=int, help="end episodes of any task here, if longer")
    parser.add_argument("--noise-std", type=float, default=0.3, help="of strange states, in ±1")
    halves = parser.add_mutually_exclusive_group()
    halves.add_argument("--train-only", type=Path, metavar="RUNS", help="train, and store runs")
    halves.add_argument("--rollouts-only", type=Path, metavar="RUNS", help="measure stored runs")
    waits = "seconds for a run that another process still trains"
    parser.add_argument("--wait", type=float, default=0, help=waits)
    arguments = parser.parse_args()
    if arguments.train_only is not None:
        arguments.out = arguments.train_only / _TRAINING
    return arguments


def chosen_jobs(arguments: argparse.Namespace) -> list[Job]:
    """All models on all tasks, and once they are done the measurement of time, alone."""
    jobs = [
        Job(f"{task}_{model}", seed)
        for model in MODELS
        if model in arguments.models
        for task in arguments.tasks
        for seed in range(arguments.seeds)
    ]
    return [*jobs, Job(TIMING, 0, tuple(job.key for job in jobs))]


def work(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train, or find what is trained, and measure."""
    if name == TIMING:
        return timing(arguments)
    with trained_run(name, seed, arguments) as (folder, cost):
        if arguments.train_only is not None:
            return cost
        from policy_measures import Acting

        return cost | Acting(name, seed, folder, cost["settings"], arguments).measure()


def timing(arguments: argparse.Namespace) -> Row:
    """Time of planning for the first task, on the CPU and on a GPU where there is one."""
    import torch

    from policy_measures import timed

    task = arguments.tasks[0]
    # Where others only train, cores are busy: those that act say what it takes on a CPU.
    has_gpu = torch.cuda.is_available()
    on_gpu_alone = has_gpu and arguments.train_only is not None
    devices = ["cuda"] if on_gpu_alone else ["cpu", *(["cuda"] if has_gpu else [])]
    with ExitStack() as stack:
        folders = {
            MODELS[model].kind: _some_run(f"{task}_{model}", arguments, stack)
            for model in EQUAL
            if model in arguments.models
        }
        found = {"task": task, **timed(folders, devices)}
    if arguments.rollouts_only is not None:
        elsewhere = [
            row["ms"]
            for row in kept_rows(arguments.rollouts_only / _TRAINING)
            if row["job"] == TIMING
        ]
        # Measured here counts before measured where training was.
        found["ms"] = {k: v for ms in [*elsewhere, found["ms"]] for k, v in ms.items()}
    return found


def _some_run(name: str, arguments: argparse.Namespace, stack: ExitStack) -> Path:
    """A stored run, or one of hardly any training: how long it thinks does not depend on that."""
    if arguments.rollouts_only is not None:
        return stored_at(arguments.rollouts_only, name, 0)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
    brief: Any = argparse.Namespace(**{**vars(arguments), "steps": 1, "epochs": None, "points": 1})
    train(folder, name, 0, brief)
    return folder


if __name__ == "__main__":
    main()
