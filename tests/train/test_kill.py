"""kill -9 at random moments: nothing committed is lost or half-read, and the run is unharmed."""

import multiprocessing
import random
import time
from pathlib import Path

import torch

from argmind.train.checkpoint import CheckpointStore, verify

from .toy import ToyObjective, fit_until

KILLS = 40
SETTINGS = {"steps": 10**6, "log_every": 1, "eval_every": 3, "ema_decay": 0.9, "keep": 3}


def train_until_killed(run_dir: Path, resume: bool) -> None:
    torch.set_num_threads(1)
    objective = ToyObjective(replay=True)
    fit_until(run_dir, None, resume, objective=objective, checkpoint_every=1, **SETTINGS)


def newest_of_verified(store: CheckpointStore) -> int:
    """Every committed checkpoint loads; returns the step of the newest."""
    steps = store.steps()
    for step in steps:
        found = verify(store.folder / f"step-{step:08d}")
        assert found.state["step"] == step
        for name in ("model", "optimizer", "ema", "objective-rank0"):
            assert found.tensors(name)
    return steps[0] if steps else 0


def test_killed_again_and_again(tmp_path):
    # Children fork from a server that has imported all that is slow (an optimiser needs dynamo).
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["argmind.train.trainer", "torch._dynamo"])
    chance = random.Random(7)
    run = tmp_path / "run"
    store = CheckpointStore(run / "checkpoints")
    newest, in_mid_save = 0, 0
    for _ in range(KILLS):
        child = context.Process(target=train_until_killed, args=(run, newest > 0))
        child.start()
        wait_for_news(store, newest, child)
        time.sleep(chance.uniform(0, 0.15))
        child.kill()
        child.join()
        assert child.exitcode == -9
        in_mid_save += any(store.folder.glob("*.tmp-*"))
        reached = newest_of_verified(store)
        assert reached > newest
        newest = reached

    assert in_mid_save >= 3, "these kills prove little: most fell between two saves"

    end = newest + 3
    fit_until(run, end, True, objective=ToyObjective(replay=True), checkpoint_every=1, **SETTINGS)
    whole = tmp_path / "whole"
    fit_until(whole, end, objective=ToyObjective(replay=True), checkpoint_every=0, **SETTINGS)
    last = Path(f"checkpoints/step-{end:08d}")
    for path in sorted((whole / last).iterdir()):
        assert (run / last / path.name).read_bytes() == path.read_bytes(), path.name
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert not list(run.rglob("*.tmp-*"))


def wait_for_news(store: CheckpointStore, newest: int, child) -> None:
    """Until the child has committed something; a child that fails is an error of its own."""
    limit_s = time.monotonic() + 60
    while not store.steps() or store.steps()[0] <= newest:
        assert child.exitcode is None, "the child died by itself"
        assert time.monotonic() < limit_s
        time.sleep(0.005)
