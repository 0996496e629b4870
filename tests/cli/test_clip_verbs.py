"""``eval`` and ``compare`` on runs that predict what comes next in clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import argmind
from argmind.eval.statistics import auroc

from .conftest import cli, ok, process, refused


@pytest.fixture(scope="session")
def run(clip_run):
    return clip_run


def pixels(count, frames=6, side=16, channels=1):
    shape = (count, frames, channels, side, side)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def features(count=8, size=12):
    return np.random.default_rng(0).normal(0, 3, (count, 9, size)).astype(np.float32)


# Eval -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ebt", "field", "tpp", "diffusion", "pusht"])
def test_eval(name, run):
    found = ok("eval", run(name), "--steps", 1, 2, "--limit", 3)
    assert found["clips"] == 3
    assert [row["steps"] for row in found["rows"]] == ([0] if name == "tpp" else [1, 2])
    for row in found["rows"]:
        for score in ("error", "psnr"):
            assert row[score]["low"] <= row[score]["value"] <= row[score]["high"]
        assert -1 <= row["energy_error_rank_correlation"] <= 1
        assert row["nfe"] == max(1, row["steps"])
        assert row["ms_per_frame"] > 0
        assert row["diverged"] == 0
    shown = cli("eval", run(name), "--limit", 3).out
    assert all(head in shown for head in ("PSNR/dB", "error", "ms/frame", "over clips"))


def test_errors_are_those_of_the_next_frames(run):
    """Worked out here from the model's answers and the clips themselves."""
    found = ok("eval", run("tpp"), "--batch-size", 3)
    loaded = argmind.load(run("tpp"), device="cpu")
    batch = next(iter(loaded.run.recipe.data.build(seed=0).evaluation(4)))
    frames = batch["frames"]
    change = loaded.predictor.predict({"frames": frames[:, :-1]}).output
    errors = (frames[:, :-1] + change - frames[:, 1:]).square().flatten(2).mean(2)
    (row,) = found["rows"]
    assert row["error"]["value"] == pytest.approx(errors.mean().item(), rel=1e-4)
    still = (frames[:, 1:] - frames[:, :-1]).square().mean().item()
    assert found["still_error"] == pytest.approx(still, rel=1e-5)
    assert found["clips"] == 4


def test_no_steps_are_an_answer_only_where_the_start_is_one(run):
    rows = ok("eval", run("ebt"), "--steps", 0, 1, "--candidates", 1, 2)["rows"]
    assert [(row["steps"], row["candidates"], row["nfe"]) for row in rows] == [
        (0, 1, 0),
        (0, 2, 0),
        (1, 1, 1),
        (1, 2, 2),
    ]
    assert "this model starts from noise: ask for --steps 1" in refused(
        "eval", run("field"), "--steps", 1, 0
    )
    assert "at least 1 step" in refused("eval", run("diffusion"), "--steps", 0)


def test_energy_where_chance_decides(run):
    found = ok("eval", run("turning"), "--batch-size", 24)
    assert 0 < found["random_frames"] < 1
    (row,) = found["rows"]
    loaded = argmind.load(run("turning"), device="cpu")
    batch = next(iter(loaded.run.recipe.data.build(seed=0).evaluation(24)))
    problem, _ = loaded.predictor.task(batch)
    energy = loaded.predictor.predict(problem).energy[:, 1:]
    random = batch["random"][:, 1:-1]
    assert row["random_frame_auroc"] == pytest.approx(auroc(energy, random), abs=0.02)
    assert 0 <= row["random_frame_auroc_same_frame"] <= 1
    assert "AUROC" in cli("eval", run("turning")).out
    settled = ok("eval", run("ebt"))
    assert settled["random_frames"] == 0
    assert "random_frame_auroc" not in settled["rows"][0]
    assert "AUROC" not in cli("eval", run("ebt")).out


def test_eval_on_another_scene_or_fewer_frames(run):
    trained = ok("eval", run("ebt"))
    turning = ok("eval", run("ebt"), "--set", "data.scene=turning")
    assert "turning" in turning["data"]
    assert turning["still_error"] != trained["still_error"]
    fewer = ok("eval", run("ebt"), "--set", "data.frames=4")
    assert fewer["clips"] == trained["clips"]
    for setting, said in (
        ("training.seed=1", "only data.scene and data.frames may be changed here"),
        ("data.sceen=turning", "only data.scene and data.frames may be changed here"),
        ("data.scene=turnig", "Did you mean 'turning'?"),
        ("data.frames=9", "learnt from clips of 6 frames. Ask for so many, or fewer"),
    ):
        assert said in refused("eval", run("ebt"), "--set", setting)


def test_eval_on_given_clips(run):
    """All of them, in windows as long as those of training."""
    np.save("one.npy", pixels(1, frames=13))
    found = ok("eval", run("ebt"), "--data", "one.npy")
    assert (found["data"], found["clips"]) == ("one.npy", 2)
    still = pixels(1, frames=13)[:, :12].reshape(2, 6, 16, 16) / 127.5
    want = np.square(np.diff(still, axis=1)).mean()
    assert found["still_error"] == pytest.approx(want, rel=1e-5)
    assert ok("eval", run("ebt"), "--data", "one.npy", "--limit", 1)["clips"] == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("large.npy", "large.npy: frames are (channels, height, width) = (1, 20, 20)"),
        ("colours.npy", "(3, 16, 16), and"),
        ("brief.npy", "have 4 frames: video shorter than the context of data.frames=6"),
        ("features.npy", "features.npy holds features, and"),
        ("turning", "'turning' is a scene, no file: ask for it with data.scene=turning"),
        ("absent.npy", "no such file: absent.npy"),
    ],
)
def test_clips_that_cannot_be_used(data, said, run):
    np.save("large.npy", pixels(2, side=20))
    np.save("colours.npy", pixels(2, channels=3))
    np.save("brief.npy", pixels(2, frames=4))
    np.save("features.npy", features())
    assert said in refused("eval", run("ebt"), "--data", data)


def test_given_clips_shorter_than_trained_or_of_a_scene(run):
    np.save("brief.npy", pixels(2, frames=4))
    words = ["eval", run("ebt"), "--data", "brief.npy", "--set"]
    assert ok(*words, "data.frames=4")["clips"] == 2
    said = refused(*words, "data.scene=turning")
    assert "--set data.scene changes what clips are made of, and brief.npy is given" in said


def test_a_world_that_is_acted_on_needs_actions(run):
    plain = pixels(2, channels=3)
    actions = np.zeros((2, 6, 2), np.float32)
    np.save("plain.npy", plain)
    save_file({"frames": plain, "actions": actions}, "acted.safetensors")
    save_file({"frames": plain, "actions": actions[..., :1]}, "other.safetensors")
    assert ok("eval", run("pusht"), "--data", "acted.safetensors")["clips"] == 2
    for name, count in (("plain.npy", 0), ("other.safetensors", 1)):
        said = refused("eval", run("pusht"), "--data", name)
        assert f"{name}: actions have {count} numbers" in said
    assert "is told 2 at every frame" in said


@pytest.fixture
def on_features(tmp_path):
    """A run on given features, whose file lies there."""
    np.save("train.npy", features())
    settings = ["data.frames=5", "training.batch_size=2", "training.eval_limit=2"]
    settings += [f"predictor.transformer.{one}" for one in ("num_layers=1", "hidden_dim=16")]
    words = ["--data", "train.npy", "--steps", 2, "--device", "cpu", "--out", "features"]
    done = cli("train", "video_transformer_pp", *words, "--set", *settings)
    assert done.code == 0, done.err
    return tmp_path / "features"


def test_features_are_counted_in_the_unit_of_the_run(on_features):
    own = ok("eval", on_features)
    assert "the held-out part of train.npy" in own["data"]
    np.save("half.npy", features() / 2)
    np.save("same.npy", features())
    half, same = (ok("eval", on_features, "--data", f"{name}.npy") for name in ("half", "same"))
    assert half["still_error"] == pytest.approx(same["still_error"] / 4, rel=1e-4)
    assert "holds pixels" in refused("eval", on_features, "--data", pixels_file())
    said = refused("eval", on_features, "--set", "data.scene=turning")
    assert "and train.npy is given" in said


def pixels_file():
    np.save("pixels.npy", pixels(2))
    return "pixels.npy"


def test_data_that_is_gone_or_has_changed(on_features):
    np.save("train.npy", features() + 1)
    assert "'train.npy' is not the data that it was trained on" in refused("eval", on_features)
    (on_features.parent / "train.npy").unlink()
    assert "Name clips to measure on with --data." in refused("eval", on_features)


def test_the_study_of_thinking(run):
    for name in ("ebt", "diffusion", "tpp"):
        found = ok("eval", run(name), "--thinking", "--steps", 1, 2, "--limit", 2)
        assert found["quality"] == "PSNR / dB"
        assert found["thinks"] == (name != "tpp")
        assert bool(found["curvature"]) == (name == "ebt")
        assert found["calibration"]["tenths"]


# Compare --------------------------------------------------------------------


def test_compare(run):
    names = [str(run(name)) for name in ("tpp", "ebt", "diffusion")]
    found = ok("compare", *names, "--limit", 4, "--steps", 1)
    assert [one["run"] for one in found["runs"]] == names
    first = found["runs"][0]["rows"][0]
    assert "verdict" not in first
    for one in found["runs"][1:]:
        (row,) = one["rows"]
        assert one["clips_seen"] == 4
        for score in ("error", "psnr"):
            against = row[score]["value"] - first[score]["value"]
            assert row[f"{score}_difference"]["value"] == pytest.approx(against, abs=1e-4)
        low, high = row["psnr_difference"]["low"], row["psnr_difference"]["high"]
        told = "better" if low > 0 else "worse" if high < 0 else "no difference beyond"
        assert row["verdict"].startswith(told)
    assert (found["equal_data"]["at"], found["equal_data"]["from"]) == (4, "measured")
    assert set(found["equal_parameters"]["ratio"]) == set(names[1:])
    shown = cli("compare", *names[:2], "--limit", 4).out
    assert all(word in shown for word in ("against first", "clips", "FLOPs", "PSNR/dB at equal"))


def test_compare_on_the_clips_of_the_first(run):
    """And nothing about equal cost where they were trained on other clips."""
    found = ok("compare", run("turning"), run("ebt"), "--limit", 4)
    assert "turning" in found["data"]
    alone = ok("eval", run("turning"), "--limit", 4)["rows"][0]
    assert found["runs"][0]["rows"][0]["error"] == alone["error"]
    assert not any(key in found for key in ("equal_data", "equal_flops", "equal_time"))
    assert "nothing is said about equal data" in " ".join(found["notes"])
    longer = ok("compare", run("short"), run("tpp"), "--limit", 2)
    assert longer["runs"][1]["rows"][0]["error"]["value"] > 0


def test_what_cannot_be_compared(run, image_run, ebt):
    said = refused("compare", run("ebt"), image_run("regression"))
    assert "is a run on clips and" in said
    assert "one on images: compare runs of one kind" in said
    assert "one on text: compare runs of one kind" in refused("compare", run("ebt"), ebt)
    assert f"name {run('short')} first" in refused("compare", run("tpp"), run("short"))
    said = refused("compare", run("ebt"), run("pusht"))
    assert "clips of 16x16 with 1 channel and" in said
    assert "16x16 with 3 channels, told actions of 2 numbers: compare runs on pictures" in said
    assert "0 thinking steps" in refused("compare", run("tpp"), run("field"), "--steps", 0)


# As a process ---------------------------------------------------------------


def test_in_a_process_of_its_own(run, tmp_path):
    words = ["--steps", 0, 1, "--limit", 2]
    done = process("eval", run("ebt"), *words, "--json", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert [row["nfe"] for row in done.json["rows"]] == [0, 1]
    done = process("compare", run("tpp"), run("ebt"), *words, "--json", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert len(done.json["runs"][1]["rows"]) == 2
    done = process("eval", run("ebt"), "--data", "absent.npy", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no such file: absent.npy.\n"


def test_a_batch_of_nothing_is_like_a_real_one(run):
    loaded = argmind.load(run("pusht"), device="cpu")
    real = next(iter(loaded.run.recipe.data.build(seed=0).evaluation(3)))
    blank = loaded.blank(3)
    assert all(blank[name].shape == real[name].shape for name in ("frames", "actions"))
    assert not torch.cat([blank["frames"].ravel(), blank["actions"].ravel()]).any()
