"""The same promises on a GPU, in bf16."""

from pathlib import Path

import pytest
import torch

from argmind.train.checkpoint import CheckpointStore
from argmind.train.distributed import World
from argmind.train.engine import Engine

from .toy import ToyObjective, fit_until, make_trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

SETTINGS = {"device": "cuda", "ema_decay": 0.9, "accumulate": 2, "steps": 12}


def test_resumed_equals_continuous_as_bytes(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    fit_until(whole, None, objective=ToyObjective(replay=True), **SETTINGS)
    fit_until(halves, 7, objective=ToyObjective(replay=True), **SETTINGS)
    fit_until(halves, None, True, objective=ToyObjective(replay=True), **SETTINGS)
    last = Path("checkpoints/step-00000012")
    for path in (whole / last).iterdir():
        assert path.read_bytes() == (halves / last / path.name).read_bytes(), path.name


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_non_finite_step_reaches_nothing(tmp_path, kind):
    poisoned = ToyObjective(poison={9: kind})
    fit_until(tmp_path, None, objective=poisoned, checkpoint_every=1, keep=99, **SETTINGS)
    store = CheckpointStore(tmp_path / "checkpoints")
    for name in ("model", "optimizer", "ema"):
        before, after = store.load(2).tensors(name), store.load(3).tensors(name)
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_step_never_waits_for_the_device(tmp_path):
    trainer = make_trainer(tmp_path, **SETTINGS)
    engine = Engine(
        ToyObjective(),
        trainer.data,
        trainer.training,
        trainer.optimizer,
        World(device=torch.device("cuda", 0)),
    )
    assert engine.precision == "bf16"
    engine.step(0)  # the first one allocates
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.step(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
