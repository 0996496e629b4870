"""Trained policies on disk: recipe, assets and weights, and what training cost."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from jobs import Row, trained_in
from policy_tasks import chosen_recipe, demonstrations, equal_recipe, task_of

COST = "cost.json"


@contextmanager
def trained_run(name: str, seed: int, arguments: argparse.Namespace) -> Generator[tuple[Path, Row]]:
    """The folder of a job's run and what it cost: found where it is stored, or trained now.

    What is trained now is kept with ``--train-only`` and thrown away otherwise.
    """
    if arguments.rollouts_only is not None:
        folder = stored_at(arguments.rollouts_only, name, seed)
        _wait_for(folder, arguments.wait)
        yield folder, json.loads((folder / COST).read_text())
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "run"
        cost = train(path, name, seed, arguments)
        if arguments.train_only is not None:
            store(path, stored_at(arguments.train_only, name, seed), cost)
        yield path, cost


def stored_at(runs: Path, name: str, seed: int) -> Path:
    """The folder of a job's run among those that are stored."""
    return runs / f"{name}-{seed}"


def _wait_for(folder: Path, seconds: float) -> None:
    """Until another process has stored the run, or for so long."""
    until = time.monotonic() + seconds
    while not folder.exists() and time.monotonic() < until:
        time.sleep(1)


def train(path: Path, name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train a job's recipe in a run folder; what it cost, and what it was taught in."""
    from argmind.data.episodes import read_origin

    task, model = task_of(name)
    data = chosen_recipe(task, model, seed, arguments).data.build(seed=seed)
    _, cost = trained_in(path, equal_recipe(task, model, seed, arguments, data), data)
    origin = read_origin(demonstrations(task, arguments))
    told = {"samples_per_epoch": data.samples_per_epoch, "settings": dict(origin.settings)}
    return cost | told


def store(run: Path, target: Path, cost: Row) -> None:
    """A run without what only training needs: of its weights those that act, the averaged ones."""
    from argmind.train.runfolder import RunFolder

    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path in run.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy2(path, part)
    source, slim = RunFolder(run).store, RunFolder(part).store
    for step in source.steps():
        checkpoint = source.load(step)
        weights = checkpoint.tensors("model")
        weights |= checkpoint.tensors("ema") if checkpoint.has("ema") else {}
        with slim.draft(step) as draft:
            draft.write("model", weights)
            draft.commit({"data_fingerprint": checkpoint.state["data_fingerprint"]})
    (part / COST).write_text(json.dumps(cost))
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def checkpoints(folder: Path) -> list[int]:
    """Steps that a run has checkpoints of, in their order."""
    from argmind.train.runfolder import RunFolder

    return sorted(RunFolder(folder).store.steps())
