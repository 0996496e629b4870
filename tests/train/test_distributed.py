"""Two processes under torchrun do what one does with twice the micro-batches."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from argmind.errors import UserError
from argmind.train.checkpoint import CheckpointStore, load_weights
from argmind.train.distributed import resolve_device

from . import toy
from .toy import ToyObjective, ToyPredictor, fit_until, make_trainer

SETTINGS = {"steps": 5, "batch_size": 4, "ema_decay": 0.9}
# Samples 8 to 11 make step 2: the second process gets 10 and 11.
POISON = {10: "gradient"}


def torchrun(*jobs: dict) -> subprocess.CompletedProcess:
    """All jobs one after the other in the same two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc-per-node", "2", toy.__file__, *map(json.dumps, jobs)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=env)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("two")
    plain = {"run_dir": str(folder / "plain"), **SETTINGS}
    poisoned = {"run_dir": str(folder / "poisoned"), "poison": POISON, **SETTINGS}
    replay = {"replay": True, "accumulate": 2, "batch_size": 8, "steps": 6}
    whole = {"run_dir": str(folder / "whole"), **replay}
    half = {"run_dir": str(folder / "halves"), "stop_rank": 1, "stop_at_batch": 6, **replay}
    rest = {"run_dir": str(folder / "halves"), "resume": True, **replay}
    done = torchrun(plain, poisoned, whole, half, rest)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def weights(run: Path) -> dict[str, torch.Tensor]:
    found = CheckpointStore(run / "checkpoints").latest()
    average = found.tensors("ema") if found.has("ema") else {}
    named = {f"ema/{name}": tensor for name, tensor in average.items()}
    return {**found.tensors("model"), **found.tensors("optimizer"), **named}


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["plain", "poisoned"])
def test_two_processes_equal_one(two, tmp_path, name):
    objective = ToyObjective(poison=POISON if name == "poisoned" else None)
    fit_until(tmp_path, None, objective=objective, accumulate=2, **SETTINGS)
    one, both = weights(tmp_path), weights(two[0] / name)
    assert one.keys() == both.keys()
    assert max(float((one[key] - both[key]).abs().max()) for key in one) <= 1e-6
    for left, right in zip(lines(tmp_path), lines(two[0] / name), strict=True):
        assert left == pytest.approx(right, abs=1e-6)
    assert lines(two[0] / name)[-2]["skipped"] == (1 if name == "poisoned" else 0)


def test_resume_of_two_is_the_run_continued(two):
    whole, halves = two[0] / "whole", two[0] / "halves"
    last = Path("checkpoints/step-00000006")
    names = {path.name for path in (whole / last).iterdir()}
    assert {"objective-rank0.safetensors", "objective-rank1.safetensors"} <= names
    for name in names:
        assert (whole / last / name).read_bytes() == (halves / last / name).read_bytes(), name
    assert (whole / "metrics.jsonl").read_bytes() == (halves / "metrics.jsonl").read_bytes()


def test_one_process_that_is_asked_stops_both_at_the_same_step(two):
    # Two processes write to one pipe: a line may lack its break.
    outcomes = [json.loads(found) for found in re.findall(r"\{[^}]*\}", two[1])]
    stopped = [outcome for outcome in outcomes if outcome["reason"] == "interrupted"]
    assert stopped == [{"steps": 3, "reason": "interrupted"}] * 2


def test_saved_by_two_is_loaded_by_one(two):
    predictor = ToyPredictor()
    found = CheckpointStore(two[0] / "plain/checkpoints").latest()
    load_weights(predictor, found.tensors("model"))
    assert torch.equal(predictor.head.weight, found.tensors("model")["head.weight"])

    objective = ToyObjective(replay=True)
    resumed = fit_until(
        two[0] / "whole", None, True, objective=objective, batch_size=8, steps=7, accumulate=2
    )
    assert any("saved by 2 processes, continued by 1" in note for note in resumed.notes)


def test_a_failure_of_the_main_process_ends_both(tmp_path):
    fit_until(tmp_path, None)
    done = torchrun({"run_dir": str(tmp_path)})
    assert done.returncode != 0
    assert "holds a run with checkpoints" in done.stderr
    assert "UserError: another process of this run failed" in done.stderr


def test_batch_must_divide_among_processes(tmp_path):
    from argmind.train import engine

    with pytest.raises(UserError, match=r"batch_size \(4\) must be a multiple .* \(3 x 1\)"):
        engine._micro_batch(make_trainer(tmp_path).training, 3)


@pytest.mark.parametrize("name", ["cude", "cuda:x", "xpu", "mps"])
def test_unknown_devices_are_refused(name):
    with pytest.raises(UserError, match=f"unknown device '{name}'"):
        resolve_device(name)


def test_cuda_asked_for_and_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="sees no CUDA GPU"):
        make_trainer(tmp_path / "run", device="cuda").fit()
    assert not (tmp_path / "run").exists()
    assert resolve_device("auto") == torch.device("cpu")


def test_a_gpu_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda", local_rank=1) == torch.device("cuda", 1)
    with pytest.raises(UserError, match="GPU 2 was asked for"):
        resolve_device("cuda", local_rank=2)
    with pytest.raises(UserError, match="GPU 5 was asked for"):
        resolve_device("cuda:5")
