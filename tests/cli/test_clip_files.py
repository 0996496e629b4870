"""Runs on given clips and on features of them: trained, and gone on with."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from .conftest import cli

SMALL = [
    *("data.frames=5", "training.batch_size=2", "training.eval_every=2", "training.log_every=2"),
    *("optimizer.warmup_steps=1", "training.eval_limit=2"),
]
SIZES = ("num_layers=1", "num_heads=2", "hidden_dim=16")
PLACES = {
    "video_ebt": "predictor.body.transformer",
    "video_transformer_pp": "predictor.transformer",
    "video_diffusion": "predictor.transformer",
}


def train(recipe, source, out, *settings):
    sizes = [f"{PLACES[recipe]}.{size}" for size in SIZES]
    words = ["--data", source, "--steps", 2, "--device", "cpu", "--out", out]
    return cli("train", recipe, *words, "--set", *SMALL, *sizes, *settings)


def imagined(run, *words):
    done = cli("imagine", run, *words, "--json")
    assert done.code == 0, done.err
    return done.json["clips"]


def features(size=24):
    return np.random.default_rng(0).normal(0, 3, (8, 9, size)).astype(np.float32)


@pytest.mark.parametrize("recipe", PLACES)
def test_features(recipe, tmp_path):
    np.save(tmp_path / "f.npy", features())
    run = tmp_path / "run"
    done = train(recipe, tmp_path / "f.npy", run)
    assert done.code == 0, done.err
    words = ("--held-out", 1, "--given", 3, "--frames", 8, "--out", tmp_path / "out")
    (clip,) = imagined(run, *words)
    made = np.load(clip["npy"])
    assert made.shape == (8, 24)
    assert np.abs(made).max() <= np.abs(features()).max() * 1.0001
    assert np.isfinite(clip["energies"]).all()
    assert [error is None for error in clip["errors"]] == [False] * 6 + [True] * 2
    table = cli("imagine", run, *words)
    assert table.code == 0, table.err
    assert "held-out-0" in table.out


def test_asking_a_run_on_features_for_what_it_has_not(tmp_path):
    np.save(tmp_path / "f.npy", features())
    run = tmp_path / "run"
    assert train("video_transformer_pp", tmp_path / "f.npy", run).code == 0
    for words, said in (
        (["a.gif"], "run on features"),
        (["--held-out", 1, "--given", 10], "--given 9 or less"),
    ):
        done = cli("imagine", run, *words)
        assert done.code == 2
        assert said in done.err
    np.save(tmp_path / "f.npy", 2 * features())
    done = cli("imagine", run, "--held-out", 1)
    assert done.code == 2
    assert "is not what" in done.err


@pytest.mark.parametrize("recipe", ["video_ebt", "video_transformer_pp"])
def test_frames_with_actions(recipe, tmp_path):
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (8, 9, 3, 8, 8)).astype(np.uint8)
    actions = rng.normal(size=(8, 9, 2)).astype(np.float32)
    save_file({"frames": clips, "actions": actions}, tmp_path / "c.safetensors")
    done = train(recipe, tmp_path / "c.safetensors", tmp_path / "run")
    assert done.code == 0, done.err
    words = ("--held-out", 1, "--frames", 4, "--out", tmp_path / "out")
    (clip,) = imagined(tmp_path / "run", *words)
    assert clip["gif"].endswith("held-out-0.gif")
    assert None not in clip["errors"]


def test_nothing_is_written_for_clips_that_are_refused(tmp_path):
    np.save(tmp_path / "f.npy", features())
    done = train("video_ebt", tmp_path / "f.npy", tmp_path / "run", "data.frames=10")
    assert done.code == 2
    assert "video shorter than the context" in done.err
    assert not (tmp_path / "run").exists()
