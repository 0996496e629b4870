"""Clips that are given: windows of them, what numbers become, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from argmind.config import part_config
from argmind.data.base import TrainingData
from argmind.data.datasets.images import UNIT_FILE
from argmind.errors import UserError


def pixels(count=6, frames=7, shape=(8, 8)) -> np.ndarray:
    numbers = np.random.default_rng(0).integers(0, 256, (count, frames, *shape))
    return numbers.astype(np.uint8)


def features(count=6, frames=7, size=5) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, (count, frames, size)).astype(np.float32)


def data(source="given", given=None, actions=None, **options):
    config = part_config("dataset", "clips", **{"frames": 4, **options}, source=str(source))
    return config.build(seed=0, given=given, actions=actions)


def saved(path, array):
    np.save(path, array)
    return path


def refused(*words, **options) -> str:
    with pytest.raises(UserError) as caught:
        data(**options)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


def test_windows_of_training_and_of_held_out_clips(tmp_path):
    made = data(saved(tmp_path / "a.npy", pixels()))
    assert isinstance(made, TrainingData)
    assert made.model_inputs == {"image_size": 8, "channels": 1, "frames": 4, "actions": 0}
    assert (made.samples_per_epoch, made.evaluation_samples) == (5 * 4, 1)
    truth = torch.from_numpy(pixels()).float()[:, :, None] / 127.5 - 1
    windows = [truth[clip, at : at + 4] for clip in range(6) for at in range(4)]

    def place(one):
        return next(n for n, window in enumerate(windows) if torch.allclose(window, one, atol=1e-6))

    seen = {place(one) for one in made.batch(0, 20)["frames"]}
    held_out = [place(one) for batch in made.evaluation(2) for one in batch["frames"]]
    assert len(seen) == 20
    assert len(held_out) == 1
    assert held_out[0] % 4 == 0
    assert held_out[0] // 4 not in {number // 4 for number in seen}
    assert torch.equal(made.batch(3, 2)["frames"], made.batch(0, 5)["frames"][3:])


def test_held_out_windows_do_not_overlap():
    made = data(given=pixels(frames=9), eval_fraction=0.5)
    assert made.evaluation_samples == 3 * 2
    assert data(given=pixels(frames=9), eval_fraction=0.5, eval_clips=4).evaluation_samples == 4
    windows = torch.cat([batch["frames"] for batch in made.evaluation(4)])
    whole = made.held_out(3, 20)["frames"]
    assert whole.shape == (3, 9, 1, 8, 8)
    assert torch.equal(windows[:2].flatten(0, 1), whole[0, :8])


def test_features_are_counted_in_their_unit(tmp_path):
    made = data(given=features())
    assert made.model_inputs == {"image_size": 1, "channels": 5, "frames": 4, "actions": 0}
    unit = np.abs(features()).max()
    every = made.batch(0, made.samples_per_epoch)["frames"]
    assert every.shape[1:] == (4, 5, 1, 1)
    whole = torch.cat([every, *(batch["frames"] for batch in made.evaluation(8))])
    assert float(whole.abs().max()) <= 1
    assert np.isin((whole * unit).numpy().round(3), features().round(3)).mean() > 0.99
    made.save_assets(tmp_path)
    assert json.loads((tmp_path / UNIT_FILE).read_text())["record"] == pytest.approx(unit)


def test_pixels_in_every_form_are_the_same(tmp_path):
    shades = pixels(shape=(3, 8, 8))
    shades[0, 0, 0, 0, :2] = 0, 255
    share = shades / 255
    wanted = data(given=shades).batch(0, 8)["frames"]
    for form in (share, 2 * share - 1, share.astype(np.float32)):
        made = data(given=form)
        assert torch.allclose(made.batch(0, 8)["frames"], wanted, atol=1e-6)
        made.save_assets(tmp_path)
        assert not list(tmp_path.iterdir())


def test_actions_and_several_files(tmp_path):
    for number, name in enumerate("ab"):
        actions = np.full((6, 7, 2), number, np.float32)
        clips = np.full((6, 7, 8, 8), 255 * number, np.uint8)
        save_file({"frames": clips, "actions": actions}, tmp_path / f"{name}.safetensors")
    for source in (tmp_path, tmp_path / "*.safetensors"):
        made = data(source)
        assert made.model_inputs["actions"] == 2
        batch = made.batch(0, made.samples_per_epoch)
        shade = batch["frames"].mean((2, 3, 4))
        assert torch.equal(shade, 2 * batch["actions"][..., 0] - 1)
        assert shade.unique().tolist() == [-1, 1]


def test_fingerprint_follows_the_content(tmp_path):
    other = pixels()
    other[5, 6, 7, 7] ^= 1
    prints = {data(given=one).fingerprint for one in (pixels(), pixels(), other)}
    assert len(prints) == 2
    files = [saved(tmp_path / f"{n}.npy", one) for n, one in enumerate((pixels(), other))]
    assert len({data(file).fingerprint for file in files}) == 2
    assert data(given=pixels(), frames=3).fingerprint not in prints


def test_shorter_than_the_context():
    refused("7 frames", "video shorter than the context", given=pixels(), frames=8)


def test_numbers_that_are_not_finite():
    broken = features()
    broken[2, 1, :3] = np.nan, np.inf, np.nan
    refused("clip 2", "3 numbers", given=broken)
    actions = np.zeros((6, 7, 2), np.float32)
    actions[4, 0, 0] = np.nan
    refused("actions, clip 4", "1 numbers", given=pixels(), actions=actions)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (pixels(shape=(8, 6)), "square"),
        (pixels(shape=(2, 8, 8)), "1 or 3 channels"),
        (pixels(shape=(5,)), "uint8"),
        (pixels().astype(np.int64), "int64"),
        (pixels()[0, 0], "(8, 8)"),
        (pixels()[:0], "(0, 7, 8, 8)"),
        (pixels()[:1], "at least 2"),
        (np.array([object()] * 3), "(3,)"),
    ],
)
def test_arrays_that_are_no_clips(given, word):
    refused(word, given=given)


def test_actions_of_another_length():
    refused("actions", "(6, 6, 2)", given=pixels(), actions=np.zeros((6, 6, 2)))


def test_files_that_do_not_go_together(tmp_path):
    saved(tmp_path / "a.npy", pixels())
    saved(tmp_path / "b.npy", pixels(frames=8))
    refused("a.npy", "b.npy", source=tmp_path)
    (tmp_path / "b.npy").unlink()
    save_file({"frames": pixels(), "actions": np.zeros((6, 7, 2))}, tmp_path / "b.safetensors")
    refused("a.npy", "b.safetensors", "actions", source=tmp_path)


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY nothing of the kind", b"\x80\x04K\x01."])
def test_damaged_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(name, "cannot be read", source=tmp_path / name)


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    refused("a.npy", "plain numbers", source=tmp_path / "a.npy")


def test_what_is_no_file(tmp_path):
    refused("data.scene=digits", source="digits")
    refused("no such file", source=tmp_path / "gone.npy")
    refused("no usable file", source=tmp_path)
    save_file({"one": pixels(), "two": pixels()}, tmp_path / "a.safetensors")
    refused("one, two", "--field", source=tmp_path)
    assert data(tmp_path, field="two").samples_per_epoch == 20
    with pytest.raises(UserError, match=r"data\.source=given"):
        part_config("dataset", "clips").build(seed=0, given=pixels())
