"""Many trainings as processes side by side, each one's findings kept, and figures made of them.

A script hands its command line and its jobs to :func:`carry_out`. It then calls itself once for
every job, ``… --one NAME SEED``, on a GPU of its own or shared; what that finds, one JSON object,
is added to ``<out>.runs``. Jobs that stand there are not done again, so a stopped script goes on.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
#: What a job is known by: its name and its seed.
Key = tuple[str, int]
#: A figure as scripts give it: its name, an interval or number or a list of them (or a ``Figure``,
#: for what may be missing), its unit.
Named = tuple[str, Any, str]


@dataclass(frozen=True)
class Job:
    """One training, or whatever else is done in a process of its own."""

    name: str
    seed: int = 0
    #: Jobs that must be done before.
    after: tuple[Key, ...] = ()

    @property
    def key(self) -> Key:
        """Name and seed."""
        return self.name, self.seed


@dataclass(frozen=True)
class Script:
    """What a script supplies."""

    jobs: Sequence[Job]
    #: ``work(job name, seed) → row``, in a process of its own.
    work: Callable[[str, int], Row]
    #: Figures of all rows, by job name.
    figures: Callable[[Mapping[str, list[Row]]], Iterator[Named]]
    #: Whatever all jobs need, such as data in the cache; done once, before they start.
    prepare: Callable[[], object]


def options(description: str | None, out: str) -> argparse.ArgumentParser:
    """A command line with what all scripts ask."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--per-gpu", type=int, default=1, help="jobs side by side on one GPU")
    parser.add_argument("--timeout", type=float, help="seconds for one job")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no job later")
    parser.add_argument("--set", nargs="+", default=[], help="further settings for every recipe")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    return parser


def carry_out(arguments: argparse.Namespace, script: Script) -> None:
    """Do one job, as a process that was started for it; or all of them, and write the results."""
    if arguments.one:
        name, seed = arguments.one
        print(json.dumps(_finite(script.work(name, int(seed)))))
        return
    began = time.monotonic()
    script.prepare()
    rows = run_all(script.jobs, arguments)
    named = list(script.figures(by_name(rows)))
    write(rows, named, arguments, time.monotonic() - began)
    for lock in arguments.out.parent.glob(f"{arguments.out.stem}.gpu*.lock"):
        lock.unlink()


# ---------------------------------------------------------------------- all jobs


def run_all(jobs: Sequence[Job], arguments: argparse.Namespace) -> list[Row]:
    """Every job that is not done yet, as many at a time as the GPUs take."""
    free = [gpu for _ in range(arguments.per_gpu) for gpu in _gpus()]
    threads = max(1, _cores() // len(free))
    rows = {(row["job"], row["seed"]): row for row in kept_rows(arguments.out)}
    pending = [job for job in jobs if job.key not in rows]
    running: dict[Future[Row | None], tuple[Job, str]] = {}
    last_s = time.monotonic() + 60 * arguments.minutes
    with ThreadPoolExecutor(len(free)) as pool, _kept(arguments.out).open("a") as kept:
        while pending or running:
            for job in [job for job in pending if all(key in rows for key in job.after)]:
                if free and time.monotonic() < last_s:
                    gpu = free.pop(0)
                    running[pool.submit(_process, job, gpu, threads, arguments.timeout)] = job, gpu
                    pending.remove(job)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, gpu = running.pop(future)
                free.append(gpu)
                row = future.result()
                if row is not None:
                    rows[job.key] = row
                    kept.write(json.dumps(row) + "\n")
                    kept.flush()
    for job in pending:
        lacking = job.after or "time"
        print(f"{job.name} seed {job.seed}: not done, for want of {lacking}", flush=True)
    wanted = [job.key for job in jobs]
    return [rows[key] for key in sorted(rows) if key in wanted]


def kept_rows(out: Path) -> list[Row]:
    """What the jobs of ``out`` that are done have found."""
    kept = _kept(out)
    return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def _kept(out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.with_suffix(".runs")


def _cores() -> int:
    """Those that this process may use: more threads than cores would wait for one another."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> list[str]:
    """Those that may be used, as CUDA_VISIBLE_DEVICES names them; "" for a CPU."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = [str(index) for index in range(torch.cuda.device_count())]
    return (visible.split(",")[: len(found)] if visible else found) or [""]


def _process(job: Job, gpu: str, threads: int, timeout_s: float | None) -> Row | None:
    began = time.monotonic()
    command = [sys.executable, *sys.argv, "--one", job.name, str(job.seed)]
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, "CUDA_VISIBLE_DEVICES": gpu}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        print(f"{job.name} seed {job.seed}: not done after {timeout_s:.0f} s", flush=True)
        return None
    if done.returncode:
        print(f"{job.name} seed {job.seed} failed:\n{done.stderr[-3000:]}", flush=True)
        return None
    print(f"{job.name} seed {job.seed}: {time.monotonic() - began:.0f} s", flush=True)
    return {"job": job.name, "seed": job.seed, **json.loads(done.stdout.strip().splitlines()[-1])}


def _finite(value: Any) -> Any:
    """JSON knows no NaN: null in its place."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------------- one job


@contextmanager
def alone(out: Path) -> Generator[None]:
    """The GPU to itself, for what is timed: jobs of ``out`` that want it too wait for their turn.

    Others may go on meanwhile with what is not timed: starting, compiling, measuring.
    """
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    with out.with_suffix(f".gpu{gpu}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def trained(recipe: Any, data: Any, on_progress: Any = None) -> tuple[Any, Row]:
    """A recipe trained in a folder that is thrown away: see :func:`trained_in`."""
    with tempfile.TemporaryDirectory() as folder:
        return trained_in(Path(folder) / "run", recipe, data, on_progress)


def trained_in(path: Path, recipe: Any, data: Any, on_progress: Any = None) -> tuple[Any, Row]:
    """A recipe trained in a run folder: its last checkpoint, and what it cost.

    ``training_s`` leaves out compiling, evaluation and saving; ``wall_s`` does not.
    """
    import numpy as np

    from argmind.api import run_recipe
    from argmind.assembly import build_objective
    from argmind.eval.curves import seconds_at
    from argmind.runs import load_run

    training, began = recipe.training, time.monotonic()
    outcome = run_recipe(recipe, path, data=data, on_progress=on_progress)
    wall_s = time.monotonic() - began
    run = load_run(path, which="last", device=training.device)
    flops = build_objective(recipe, run.predictor).training_flops(_one_batch(run, recipe, data))
    cost = {
        "parameters": run.parameters,
        "steps": outcome.steps,
        "samples": outcome.steps * training.batch_size,
        "training_flops": outcome.steps * flops,
        "training_s": float(seconds_at(path, np.array([outcome.steps]))[0]),
        "wall_s": wall_s,
    }
    return run, cost


def _one_batch(run: Any, recipe: Any, data: Any) -> Any:
    batch = data.batch(0, recipe.training.batch_size)
    return {name: tensor.to(run.device) for name, tensor in batch.items()}


# ---------------------------------------------------------------------- figures


def by_name(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of every job, seed by seed."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["job"], []).append(row)
    return found


def over(rows: Sequence[Row], value: Callable[[Row], float | None]) -> Any:
    """Mean, least and greatest over seeds of a number that each row has."""
    from argmind.eval.statistics import over_seeds

    numbers = [value(row) for row in rows]
    return over_seeds([math.nan if number is None else number for number in numbers])


def write(
    rows: Sequence[Row], named: Sequence[Named], arguments: argparse.Namespace, seconds: float
) -> None:
    """Figures and all rows, in the layout that all results use."""
    from argmind.eval.results import Results, git_commit, machine_description, write_results

    figures = {name: _figure(measured, unit) for name, measured, unit in named}
    results = Results(
        command=shlex.join(["python", *sys.argv]),
        commit=os.environ.get("ARGMIND_COMMIT") or git_commit(),
        machine=machine_description(),
        seeds=tuple(sorted({row["seed"] for row in rows})),
        figures=figures,
        extra={"runs": rows, "runs_per_gpu": arguments.per_gpu, "wall_clock_s": round(seconds)},
    )
    write_results(arguments.out, results)
    for name, figure in figures.items():
        print(name, figure.to_plain())


def _figure(measured: Any, unit: str) -> Any:
    from argmind.eval.results import Figure

    if isinstance(measured, Figure):
        return measured
    if isinstance(measured, list):
        return Figure.series(measured, unit)
    return Figure.of(measured, unit)
