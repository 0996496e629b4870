"""Runs on latents: trained, asked and measured like those on images."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import argmind

from .conftest import cli, ok, refused
from .small_runs import ENERGY, PLAIN
from .small_runs import IMAGES as SMALL


def some(count=24, channels=4) -> np.ndarray:
    shape = (count, channels, 8, 8)
    return np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("latents") / "train.safetensors"
    latents, labels = torch.from_numpy(some()), torch.arange(24) % 3
    save_file({"image": latents, "label": labels}, path)
    return path


def trained(source, folder, recipe, *settings):
    words = ["--data", source, "--steps", 3, "--device", "cpu", "--out", folder]
    done = cli("train", recipe, *words, "--set", *SMALL, *settings)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def denoiser(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("denoiser") / "run"
    return trained(source, folder, "image_denoise_ebt", *ENERGY)


def test_denoise_gives_latents_in_their_own_unit(denoiser):
    np.save("two.npy", some(2))
    words = ("denoise", denoiser, "two.npy", "--level", 0, "--trace", "steps.png")
    done = ok(*words, "--steps", 0, "--out", "same")
    for answer, latent in zip(done["images"], some(2), strict=True):
        assert np.allclose(np.load(answer["output"]), latent, atol=1e-5)
    assert Image.open("steps.png").mode == "L"


def test_held_out_latents_and_eval(denoiser):
    answers = ok("denoise", denoiser, "--held-out", 2, "--out", "clean")["images"]
    assert all(answer["output"].endswith(".npy") and answer["psnr"] > 0 for answer in answers)
    assert ok("eval", denoiser, "--steps", 1, 2, "--limit", 2)


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("image_generate_ebt", [*ENERGY, "thinking.steps=2"]),
        ("image_generate_dit", [*PLAIN, "predictor.steps=2"]),
    ],
)
def test_sample(recipe, settings, source, tmp_path):
    folder = trained(source, tmp_path / "run", recipe, *settings)
    (answer,) = ok("sample", folder, "--class", 2, "--count", 1)["images"]
    drawn = np.load(answer["output"])
    assert drawn.shape == (4, 8, 8)
    assert np.isfinite(drawn).all()


def test_images_and_latents_are_not_mixed_up(denoiser, tmp_path):
    np.save("three.npy", some(2, channels=3))
    Image.new("L", (8, 8)).save("a.png")
    assert "latents of (4, 8, 8) are needed" in refused("denoise", denoiser, "three.npy")
    assert "holds images" in refused("denoise", denoiser, "a.png")
    assert "holds images" in refused("eval", denoiser, "--data", "a.png")
    assert not (tmp_path / "denoised").exists()


def test_from_python(denoiser):
    run = argmind.load(denoiser, device="cpu")
    said = run.denoise(some(2), steps=1, level=0.5)
    assert said.output.shape == (2, 4, 8, 8)
    assert run.unit == np.abs(some()).max()
    with pytest.raises(argmind.UserError, match="latents are"):
        run.denoise(some(2)[0], steps=1)
