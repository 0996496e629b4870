"""A run resumed is the run continued, byte for byte."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from argmind.errors import UserError
from argmind.train.checkpoint import verify
from argmind.train.engine import Engine
from argmind.train.seeds import seed_for

from . import toy
from .toy import ToyObjective, fit_until

STEP_20 = Path("checkpoints/step-00000020")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def in_new_process(**job: object) -> None:
    command = [sys.executable, str(Path(toy.__file__)), json.dumps(job, default=str)]
    done = subprocess.run(command, capture_output=True, timeout=120, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_equals_continuous_as_bytes(tmp_path, accumulate):
    settings = {
        "steps": 20,
        "accumulate": accumulate,
        "ema_decay": 0.9,
        "log_every": 3,
        "checkpoint_every": 100,
    }
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    fit_until(whole, None, objective=ToyObjective(replay=True), **settings)
    # Step 10 lies inside a log window, and its sums go with the checkpoint.
    fit_until(halves, 10, objective=ToyObjective(replay=True), **settings)
    with (halves / "metrics.jsonl").open("a") as file:
        file.write('{"step": 11, "written": "before a crash"}\n')
    in_new_process(run_dir=halves, resume=True, replay=True, **settings)

    files = files_of(whole / STEP_20)
    assert files == files_of(halves / STEP_20)
    assert set(files) == {
        "COMMIT.json",
        "ema.safetensors",
        "model.safetensors",
        "objective-rank0.safetensors",
        "optimizer.safetensors",
        "state.json",
    }
    for name in ("metrics.jsonl", "best.json", "recipe.json", "asset.txt"):
        assert (whole / name).read_bytes() == (halves / name).read_bytes()


def test_a_forgotten_replay_buffer_would_be_seen(tmp_path, monkeypatch):
    fit_until(tmp_path / "whole", None, objective=ToyObjective(replay=True), steps=20)
    fit_until(tmp_path / "halves", 10, objective=ToyObjective(replay=True), steps=20)
    monkeypatch.setattr(Engine, "_load_runtime", lambda *_: [])
    fit_until(tmp_path / "halves", None, True, objective=ToyObjective(replay=True), steps=20)
    model = STEP_20 / "model.safetensors"
    assert (tmp_path / "whole" / model).read_bytes() != (tmp_path / "halves" / model).read_bytes()


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    fit_until(tmp_path, None)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    trainer = toy.make_trainer(tmp_path)
    outcome = trainer.fit(resume=True)
    assert (outcome.reason, outcome.steps) == ("finished", 10)
    assert verify(outcome.checkpoint).step == 10
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_damaged_newest_is_set_aside_and_said(tmp_path):
    fit_until(tmp_path, 9, checkpoint_every=3, keep=9)
    weights = tmp_path / "checkpoints/step-00000009/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    whole = tmp_path / "whole"
    fit_until(whole, None)

    resumed = fit_until(tmp_path, None, resume=True)

    assert any("step 9 is damaged" in note for note in resumed.notes)
    assert (tmp_path / "checkpoints/step-00000009.damaged").is_dir()
    last = Path("checkpoints/step-00000010/model.safetensors")
    assert (tmp_path / last).read_bytes() == (whole / last).read_bytes()
    assert (tmp_path / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_resume_refuses_other_data_other_model_and_nothing(tmp_path):
    with pytest.raises(UserError, match="no run folder"):
        fit_until(tmp_path / "none", None, resume=True)
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no committed checkpoint"):
        fit_until(tmp_path / "empty", None, resume=True)

    run = tmp_path / "run"
    fit_until(run, 5)
    with pytest.raises(UserError, match="data is not that of the run"):
        fit_until(run, None, resume=True, data=toy.ToyData("other"))
    other = ToyObjective()
    other.predictor.head = torch.nn.Linear(8, 2, bias=False)
    with pytest.raises(UserError, match=r"does not fit this model.*head\.weight"):
        fit_until(run, None, resume=True, objective=other)


def test_average_can_be_switched_on_while_resuming(tmp_path):
    fit_until(tmp_path, 5)
    resumed = fit_until(tmp_path, None, resume=True, ema_decay=0.9)
    assert any("no moving average" in note for note in resumed.notes)
    assert (tmp_path / "checkpoints/step-00000010/ema.safetensors").exists()


def test_seeds_differ_between_runs_steps_and_micro_batches():
    seeds = {
        seed_for(seed, step, micro)
        for seed in range(4)
        for step in (*range(20), "evaluation")
        for micro in range(8)
    }
    assert len(seeds) == 4 * 21 * 8
    assert all(0 <= seed < 2**63 for seed in seeds)
