"""``argmind probe``: what an image run's features know of classes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from argmind.eval.probe import PROTOCOL

from .conftest import cli, ok, process, refused
from .small_runs import ENERGY, IMAGES, PLAIN

pytest.importorskip("sklearn", reason="digits, and the probe's fits, come from scikit-learn")


@pytest.fixture(scope="session")
def run(image_run):
    return image_run


def folders(root, count=30, side=8, classes=("dark", "light")):
    """Pictures of noise, a folder of each class; the second is lighter."""
    draws = np.random.default_rng(0)
    for number in range(count):
        lighter = number % len(classes)
        pixels = draws.integers(0, 100, (side, side), dtype=np.uint8) + 120 * lighter
        path = root / classes[lighter]
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path / f"{number}.png")
    return root


@pytest.mark.parametrize("name", ["ebt", "dit", "regression", "classifier", "inpaint_ebt", "draws"])
def test_probe(name, run):
    found = ok("probe", run(name))
    assert (found["train_images"], found["test_images"], found["classes"]) == (270, 30, 10)
    accuracy = found["accuracy"]
    assert 0 <= accuracy["low"] < accuracy["value"] < accuracy["high"] <= 1
    assert 0.1 < found["chance"] < accuracy["value"]
    assert (found["layer"], found["feature_size"]) == (1, 16)
    assert set(found["by_layer"]) == {"1"}
    assert found["protocol"] == PROTOCOL


def test_how_many_images_and_what_is_shown(run):
    words = ["probe", run("regression"), "--train-images", 100, "--limit", 9]
    found = ok(*words)
    assert (found["train_images"], found["test_images"]) == (100, 9)
    assert ok(*words, "--batch-size", 7)["accuracy"] == found["accuracy"]
    shown = cli(*words).out
    assert f"accuracy {found['accuracy']['value']:.3f} (" in shown
    assert "layer 1 of 1: 16 features, fitted to 100 images" in shown
    assert "protocol: Clean images go through the model once" in " ".join(shown.split())


def test_images_of_other_classes(run, tmp_path):
    """Classes that the run never heard of, in images that it never saw."""
    found = ok("probe", run("ebt"), "--data", folders(tmp_path / "labelled", 60))
    assert (found["classes"], found["train_images"], found["test_images"]) == (2, 54, 6)
    assert found["accuracy"]["value"] == 1
    assert (tmp_path / "labelled").name in found["data"]


def test_a_run_on_images_without_classes(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    words = ["--data", "photos", "--steps", 1, "--device", "cpu", "--out", "run", "--set"]
    words += [*IMAGES, *ENERGY, "training.batch_size=4"]
    assert cli("train", "image_denoise_ebt", *words).code == 0
    said = refused("probe", "run")
    assert "photos has no classes to be told apart: name labelled images with --data" in said
    found = ok("probe", "run", "--data", folders(tmp_path / "labelled", 60))
    assert found["classes"] == 2


def test_latents_are_counted_in_the_unit_of_the_run(tmp_path):
    labels = torch.arange(40) % 2
    latents = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (40, 4, 8, 8)))
    latents = (latents + 4 * labels[:, None, None, None]).float()
    save_file({"image": latents, "label": labels}, "train.safetensors")
    # The same images; one more of double size changes their unit.
    more = torch.cat([latents, 2 * latents[:1]])
    save_file({"image": more, "label": torch.cat([labels, labels[:1]])}, "more.safetensors")
    words = ["--data", "train.safetensors", "--steps", 1, "--device", "cpu", "--out", "run"]
    settings = [*IMAGES, *PLAIN, "training.batch_size=4"]
    assert cli("train", "image_denoise_regression", *words, "--set", *settings).code == 0
    assert ok("probe", "run")["classes"] == 2
    assert ok("probe", "run", "--data", "more.safetensors")["accuracy"]["value"] > 0.5
    said = refused("probe", "run", "--data", folders(tmp_path / "pictures"))
    assert "pictures holds images of (1, 8, 8), and run takes latents of (4, 8, 8)" in said


def test_what_is_refused(run, clip_run, ebt, tmp_path):
    assert "is a run on text, which takes no images" in refused("probe", ebt)
    assert "`argmind imagine` is for clips" in refused("probe", clip_run("tpp"))
    words = ["probe", run("regression"), "--data"]
    assert "at least 20 training images" in refused(*words, folders(tmp_path / "few", 12))
    one = folders(tmp_path / "alone", 40, classes=("same",))
    assert "alone has no classes" in refused(*words, one)
    assert "where images of 8x8 are needed" in refused(*words, folders(tmp_path / "large", side=9))
    assert "no such file: absent" in refused(*words, "absent")
    assert "at least 20 training images" in refused(*words[:2], "--train-images", 19)


def test_without_scikit_learn_it_says_what_to_install(run, monkeypatch):
    folder = run("regression")
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    said = refused("probe", folder)
    assert "a linear probe needs the package 'sklearn': pip install 'argmind[image]'" in said


def test_in_a_process_of_its_own(run, tmp_path):
    done = process("probe", run("ebt"), "--json", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.json["test_images"] == 30
    done = process("probe", "absent", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "there is no run folder absent" in done.err
