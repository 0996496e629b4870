"""``argmind imagine``: clips gone on with, by every kind of model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from argmind.errors import UserError

from .conftest import cli, process
from .conftest import ok as succeeded
from .conftest import refused as turned_down

#: Pixels of a picture in a strip, with its margin.
PITCH = 66


@pytest.fixture(scope="session")
def run(clip_run):
    return clip_run


def ok(*words) -> dict:
    return succeeded("imagine", *words)


def refused(*words) -> str:
    return turned_down("imagine", *words)


def gif(path, frames, mode="L", size=16):
    """A moving picture of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (frames, size, size), dtype=np.uint8)
    first, *rest = [Image.fromarray(one).convert(mode) for one in pixels]
    first.save(path, save_all=True, append_images=rest)
    return pixels


@pytest.mark.parametrize("name", ["ebt", "tpp", "diffusion", "pusht"])
def test_held_out_clips(name, run, tmp_path):
    found = ok(run(name), "--held-out", 2, "--given", 3, "--frames", 5, "--steps", 1)
    assert [one["clip"] for one in found["clips"]] == ["held-out-0", "held-out-1"]
    for one in found["clips"]:
        assert len(one["energies"]) == len(one["errors"]) == len(one["nfe"]) == 5
        assert all(error > 0 for error in one["errors"])
        with Image.open(tmp_path / one["gif"]) as moving:
            # The truth, what was imagined, and the energies; the frames given, too.
            assert (moving.n_frames, moving.size) == (8, (3 * PITCH - 2, 64))
        assert Image.open(tmp_path / one["png"]).size == (8 * PITCH - 2, 3 * PITCH - 2)


def test_a_moving_picture_and_a_folder_of_its_frames_are_gone_on_with_alike(run, tmp_path):
    pixels = gif(tmp_path / "a.gif", 5)
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(pixels):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{number}.png")
    found = ok(run("ebt"), "a.gif", "frames", "--frames", 2, "--out", "seen")["clips"]
    assert [one["gif"] for one in found] == ["seen/a.gif", "seen/frames.gif"]
    assert found[0]["given"] == 5
    assert found[0]["errors"] == [None, None]
    assert found[0]["energies"] == pytest.approx(found[1]["energies"], rel=1e-5)
    part = ok(run("ebt"), "a.gif", "--given", 4, "--frames", 2)["clips"][0]
    assert part["errors"][0] > 0
    assert part["errors"][1] is None


def test_a_world_that_is_acted_on(run, tmp_path):
    """Frames are imagined from what is done; a file does not tell that."""
    import argmind

    loaded = argmind.load(run("pusht"), device="cpu")
    batch = loaded.held_out(2, 7)
    frames, actions = batch["frames"][:, :3], batch["actions"]
    assert actions.shape == (2, 7, 2)
    made = loaded.imagine(frames, 4, actions=actions, steps=1)
    other = loaded.imagine(frames, 4, actions=actions.index_fill(1, torch.tensor(4), 9.0), steps=1)
    changed = (made.frames != other.frames).flatten(2).any(2).any(0)
    assert changed.tolist() == [False, False, True, True]  # after frame 4, the second imagined
    with pytest.raises(UserError, match="told what is done at every frame"):
        loaded.imagine(frames, 4)
    with pytest.raises(UserError, match="need actions at 6 frames, and there are 5"):
        loaded.imagine(frames, 4, actions=actions[:, :5])
    gif(tmp_path / "a.gif", 3)
    assert "use --held-out" in refused(run("pusht"), "a.gif")


def test_what_is_shown(run, tmp_path):
    shown = cli("imagine", run("tpp"), "--frames", 2).out
    assert "means over the imagined frames" in shown
    assert shown.count("held-out-") == 2 * 4  # the clip, and its file
    done = process("imagine", run("ebt"), "--held-out", "1", "--frames", "1", cwd=tmp_path)
    assert done.code == 0, done.err


def test_seeds_are_those_of_a_clip_whatever_its_neighbours(run):
    words = [run("diffusion"), "--frames", 2, "--steps", 2]
    one, two = (ok(*words, "--held-out", n)["clips"][0] for n in (1, 2))
    other = ok(*words, "--held-out", 1, "--seed", 5)["clips"][0]
    assert one["errors"] == pytest.approx(two["errors"])
    assert one["errors"] != other["errors"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.gif", "--held-out", "2"], "say which clips"),
        (["a.gif", "--given", "9"], "a.gif has 3 frames, shorter than the 9 to begin with"),
        (["large.gif"], "is 20x20, where images of 16x16 are needed"),
        (["colours.gif"], "has colours"),
        (["broken.gif"], "broken.gif: no moving picture that can be read"),
        (["cut.gif"], "cut.gif: no moving picture that can be read"),
        (["absent.gif"], "cannot read absent.gif"),
        (["empty"], "no usable file in the folder"),
        (["a.gif", "--steps", "-1"], "must be at least 0"),
        (["a.gif", "--out", "a.gif/b"], "cannot write folder a.gif/b"),
    ],
)
def test_what_is_refused(words, said, run, tmp_path):
    gif(tmp_path / "a.gif", 3)
    gif(tmp_path / "large.gif", 3, size=20)
    red = Image.new("RGB", (16, 16), (200, 10, 10))
    red.save(tmp_path / "colours.gif", save_all=True, append_images=[red])
    (tmp_path / "broken.gif").write_bytes((tmp_path / "a.gif").read_bytes()[:30])
    whole = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").mkdir()
    assert said in refused(run("ebt"), *words)
    assert not (tmp_path / "imagined").exists()


def test_clips_and_other_data(run, ebt):
    assert "is a run on text, which knows no clips" in refused(ebt)
    said = turned_down("denoise", run("ebt"), "a.png")
    assert "is a run on clips, which takes no images. `argmind imagine` is for clips." in said


def test_from_python(run):
    import argmind

    loaded = argmind.load(run("ebt"), device="cpu")
    made = loaded.imagine(torch.zeros(2, 3, 1, 16, 16), 4, steps=1)
    assert made.frames.shape == (2, 4, 1, 16, 16)
    assert made.energies.shape == made.nfe.shape == (2, 4)
    with pytest.raises(UserError, match="is a run on"):
        loaded.imagine(torch.zeros(1, 3, 1, 8, 8))
    with pytest.raises(UserError, match="256 values of the given frames are NaN"):
        loaded.imagine(torch.full((1, 1, 1, 16, 16), torch.nan))
    with pytest.raises(UserError, match="budget"):
        loaded.imagine(torch.zeros(1, 3, 1, 16, 16), 2, stpes=1)
