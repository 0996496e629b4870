"""Latents: grids of floats of any range and number of channels."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from argmind.config import part_config
from argmind.data.datasets.images import UNIT_FILE
from argmind.data.images import open_image_source
from argmind.data.images.latents import LatentSource
from argmind.data.images.store import Wanted, stored_images
from argmind.errors import UserError


def some(count=12, channels=4, side=8) -> np.ndarray:
    shape = (count, channels, side, side)
    return np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)


def data(**options):
    given = options.pop("given", None)
    config = part_config("dataset", "images", **options)
    return config.build(seed=0, given=given)


def test_numbers_are_kept_and_fill_the_box(tmp_path):
    latents = some()
    np.save(tmp_path / "a.npy", latents)
    found = stored_images(open_image_source(str(tmp_path / "a.npy")), Wanted())
    assert (found.pixels == latents).all()
    assert found.unit == np.abs(latents).max()
    made = data(source=str(tmp_path / "a.npy"))
    assert made.model_inputs == {"image_size": 8, "channels": 4, "classes": 0}
    clean = torch.cat([batch["clean"] for batch in made.evaluation(4)])
    clean = torch.cat([clean, made.batch(0, made.samples_per_epoch)["clean"]])
    assert clean.abs().max() == 1
    assert sorted(clean.flatten().tolist()) == pytest.approx(
        sorted((latents / found.unit).flatten().tolist())
    )


def test_the_unit_is_kept_with_the_run(tmp_path):
    made = data(source="given", given=LatentSource(some()))
    made.save_assets(tmp_path)
    assert json.loads((tmp_path / UNIT_FILE).read_text())["record"] == np.abs(some()).max()
    data(source="digits", limit=20).save_assets(tmp_path / "digits")
    assert not (tmp_path / "digits" / UNIT_FILE).exists()


def test_labels_come_with_safetensors(tmp_path):
    latents = torch.from_numpy(some()).bfloat16()
    save_file({"vae": latents, "label": torch.arange(12) % 3}, tmp_path / "a.safetensors")
    found = stored_images(open_image_source(str(tmp_path)), Wanted())
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2] * 4
    assert found.classes == ("0", "1", "2")
    assert (found.pixels == latents.float().numpy()).all()


def test_a_folder_in_order_and_from_python_alike(tmp_path):
    latents = some()
    np.save(tmp_path / "b.npy", latents[6:])
    np.save(tmp_path / "a.npy", latents[:6])
    found = stored_images(open_image_source(str(tmp_path)), Wanted())
    given = stored_images(open_image_source(LatentSource(latents)), Wanted())
    assert (found.pixels == given.pixels).all()
    other = LatentSource(latents + 1)
    assert other.fingerprint != LatentSource(latents).fingerprint


def test_arrays_that_lie_beside_images_are_left_alone(tmp_path):
    np.save(tmp_path / "a.npy", some())
    for number in range(2):
        Image.new("L", (8, 8)).save(tmp_path / f"{number}.png")
    assert len(stored_images(open_image_source(str(tmp_path)), Wanted()).pixels) == 2


def test_latents_that_are_not_finite_are_named_or_left_out(tmp_path):
    latents = some()
    latents[3, 0, 0, 0] = np.nan
    np.save(tmp_path / "a.npy", latents)
    with pytest.raises(UserError, match=r"row 3: 1 of its numbers are NaN.*--skip-bad"):
        stored_images(open_image_source(str(tmp_path)), Wanted())
    found = stored_images(open_image_source(str(tmp_path)), Wanted(skip_bad=True))
    assert (len(found.pixels), found.skipped) == (11, 1)
    assert "row 3" in found.skipped_names[0]


@pytest.mark.parametrize(
    ("latents", "said"),
    [
        (some()[..., :6], "latents are"),
        (some()[0], "latents are"),
        (some().astype(np.int64), "floats"),
        (np.zeros((0, 4, 8, 8), np.float32), "latents are"),
    ],
)
def test_arrays_that_are_no_latents(latents, said, tmp_path):
    np.save(tmp_path / "a.npy", latents)
    with pytest.raises(UserError, match=said):
        open_image_source(str(tmp_path / "a.npy"))


def test_files_that_are_none(tmp_path):
    np.save(tmp_path / "whole.npy", some())
    content = (tmp_path / "whole.npy").read_bytes()
    objects = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    broken = {"cut.npy": content[:500], "text.npy": b"hello", "text.safetensors": b"hello"}
    for name, one in broken.items():
        (tmp_path / name).write_bytes(one)
    for name in (*broken, "objects.npy"):
        with pytest.raises(UserError, match="cannot be read"):
            open_image_source(str(tmp_path / name))


def test_files_that_do_not_go_together(tmp_path):
    np.save(tmp_path / "a.npy", some())
    np.save(tmp_path / "b.npy", some(channels=3))
    with pytest.raises(UserError, match="several shapes"):
        open_image_source(str(tmp_path))
    with pytest.raises(UserError, match="12 latents and 1 labels"):
        LatentSource(some(), [0])


@pytest.mark.parametrize("wanted", [{"fit": "crop"}, {"image_size": 4}, {"channels": 3}])
def test_latents_are_not_changed(wanted):
    with pytest.raises(UserError, match="latents"):
        stored_images(LatentSource(some()), Wanted(**wanted))


def test_evaluation_on_other_latents_uses_the_same_unit(tmp_path):
    np.save(tmp_path / "a.npy", some())
    np.save(tmp_path / "b.npy", some(3) / 2)
    made = data(source=str(tmp_path / "a.npy"), eval_source=str(tmp_path / "b.npy"))
    assert made.unit is not None
    clean = next(iter(made.evaluation(1)))["clean"].numpy()
    halves = some(3) / 2 / made.unit
    assert any(np.allclose(clean[0], half, atol=1e-6) for half in halves)
    with pytest.raises(UserError, match="holds images"):
        data(source=str(tmp_path / "a.npy"), eval_source="digits")
