"""Clips of Push-T: what is told, what is random, and what the pusher does."""

import sys

import numpy as np
import pytest
import torch

from argmind.config import override, part_config
from argmind.data.datasets.clips import ClipData
from argmind.data.scenes.base import Clips, Scene
from argmind.errors import UserError

try:
    import gym_pusht  # noqa: F401

    HAS_PUSHT = True
except ImportError:
    HAS_PUSHT = False

with_pusht = pytest.mark.skipif(not HAS_PUSHT, reason="gym-pusht is not installed (extra: policy)")


def data(*settings) -> ClipData:
    return ClipData(override(part_config("dataset", "clips"), list(settings)), seed=0)


def table(frames=6, **options) -> Scene:
    return part_config("scene", "pusht", **options).build(32, frames)


def rolled(scene, *numbers) -> Clips:
    return scene.clips(0, np.array(numbers), False)


@with_pusht
def test_pusht():
    made = data("scene=pusht", "frames=6", "clips=8", "eval_clips=2")
    assert made.model_inputs == {"image_size": 32, "channels": 3, "frames": 6, "actions": 2}
    batch = made.batch(0, 8)
    assert batch["frames"].shape == (8, 6, 3, 32, 32)
    assert batch["frames"].median().abs() < 0.01  # the empty table
    assert batch["actions"].shape == (8, 6, 2)
    assert batch["actions"].abs().max() <= 1
    assert not torch.equal(batch["frames"][:, 0], batch["frames"][:, 5])
    assert not batch["random"].any()
    ones = [rolled(table(), 3), rolled(table(), 3, 1)]
    assert (ones[0].frames[0] == ones[1].frames[0]).all()
    assert (ones[0].actions[0] == ones[1].actions[0]).all()


def pusher(frames):
    """Where the red disc is (T, 2), as (x, y) in [-1, 1]."""
    red = np.maximum(frames[:, 0] - frames[:, 1:].max(1), 0)
    places = (np.arange(red.shape[-1]) + 0.5) * 2 / red.shape[-1] - 1
    mass = red.sum((1, 2))
    return np.stack([(red.sum(1) * places).sum(1), (red.sum(2) * places).sum(1)], 1) / mass[:, None]


@with_pusht
def test_the_pusher_goes_where_it_is_told():
    clips = rolled(table(frames=12), *range(8))
    assert clips.actions is not None
    for frames, actions in zip(clips.frames, clips.actions, strict=True):
        way = pusher(frames)
        moved, told = np.diff(way, axis=0), actions[:-1] - way[:-1]
        far = np.linalg.norm(told, axis=1) > 0.15
        along = (moved * told).sum(1)[far]
        assert (along > 0).mean() > 0.8
        ahead = np.linalg.norm(actions[:-1] - way[1:], axis=1)[far]
        assert (ahead < np.linalg.norm(told, axis=1)[far]).mean() > 0.8


@with_pusht
def test_pusht_untold_shows_the_same_frames_and_where_targets_are_new():
    told, untold = rolled(table(hold=2), 0, 5), rolled(table(hold=2, told=False), 0, 5)
    assert untold.actions is None
    assert (told.frames == untold.frames).all()
    assert untold.random.tolist() == [[True, False] * 3] * 2
    made = data("scene=pusht", "scene.told=false", "frames=3", "clips=1", "eval_clips=1")
    assert made.model_inputs["actions"] == 0
    assert "actions" not in made.batch(0, 1)


@with_pusht
def test_pusht_goes_astray_on_the_right_half_alone():
    calm, shaky = (rolled(table(frames=10, shake=shake), *range(12)) for shake in (0.0, 40.0))
    assert not calm.random.any()
    assert 0.1 < shaky.random.mean() < 0.9
    for number in range(12):
        way = pusher(shaky.frames[number])[:, 0]
        clear = np.abs(way) > 0.1
        assert (shaky.random[number] == (way > 0))[clear].all()
        begun = np.flatnonzero(shaky.random[number])
        same = begun[0] + 1 if len(begun) else 10  # what it then does is not as in the calm clip
        assert (calm.frames[number, :same] == shaky.frames[number, :same]).all()
        if same < 10:
            assert (calm.frames[number, same] != shaky.frames[number, same]).any()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("scene={kind: pusht, shake: -1}", "shake must be at least 0"),
        ("scene={kind: pusht, hold: 0}", "hold and steps must be at least 1"),
        ("scene={kind: pusht, steps: 0}", "hold and steps must be at least 1"),
        ("scene={kind: pusht, at_block: 2}", r"at_block within \[0, 1\]"),
    ],
)
def test_options_that_cannot_be(setting, said):
    with pytest.raises(UserError, match=said):
        data(setting)


def test_pusht_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "gym_pusht.envs", None)
    with pytest.raises(UserError, match=r"scene 'pusht' needs .*'gym_pusht'.*argmind\[policy\]"):
        data("scene=pusht")
