"""Clips: physics, what is random in them, and that every one is a pure function of its number."""

import time

import numpy as np
import pytest
import torch

from argmind.config import override, part_config
from argmind.data.base import TrainingData
from argmind.data.datasets.clips import ClipData
from argmind.data.scenes import turning
from argmind.data.scenes._sprites import advanced, drawn
from argmind.data.scenes.base import Clips, Scene
from argmind.errors import UserError

SCENES = ["digits", "turning"]


def data(*settings, seed=0) -> ClipData:
    return ClipData(override(part_config("dataset", "clips"), list(settings)), seed=seed)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def centres(frames):
    """Centre of mass (B, T, 2) of frames with one bright thing in them."""
    light = (frames[:, :, 0] + 1).double()
    places = torch.arange(light.shape[-1], dtype=torch.float64)
    mass = light.sum((2, 3))
    rows = (light.sum(3) * places).sum(2) / mass
    columns = (light.sum(2) * places).sum(2) / mass
    return torch.stack([rows, columns], dim=-1)


@pytest.mark.parametrize("scene", SCENES)
def test_it_is_training_data(scene):
    made = data(f"scene={scene}", "image_size=24", "frames=10")
    assert isinstance(made, TrainingData)
    assert made.model_inputs == {"image_size": 24, "channels": 1, "frames": 10, "actions": 0}
    batch = made.batch(0, 3)
    assert batch["frames"].shape == (3, 10, 1, 24, 24)
    assert batch["frames"].dtype == torch.float32
    assert batch["frames"].min() == -1
    assert 0.5 < batch["frames"].max() <= 1
    assert batch["random"].shape == (3, 10)
    assert batch["random"].dtype == torch.bool
    assert "actions" not in batch


@pytest.mark.parametrize("scene", SCENES)
def test_clips_are_a_pure_function_of_seed_and_place(scene):
    whole = data(f"scene={scene}").batch(5, 9)
    again = data(f"scene={scene}")
    again.batch(50, 2)
    parts = [again.batch(first, 3) for first in (5, 8, 11)]
    assert same(whole, {name: torch.cat([part[name] for part in parts]) for name in whole})
    assert not same(whole, data(f"scene={scene}", seed=1).batch(5, 9))


@pytest.mark.parametrize("scene", SCENES)
def test_evaluation_is_fixed_and_shows_other_digits(scene):
    held = [
        list(data(f"scene={scene}", seed=seed).evaluation(size, 12))
        for seed, size in ((0, 12), (7, 5))
    ]
    joined = {name: torch.cat([batch[name] for batch in held[1]]) for name in held[0][0]}
    assert same(held[0][0], joined)
    assert sum(len(batch["frames"]) for batch in data(f"scene={scene}").evaluation(50)) == 128
    trained = data(f"scene={scene}").batch(0, 12)
    assert not torch.equal(trained["frames"], held[0][0]["frames"])


# Physics --------------------------------------------------------------------


def flight(where, velocity, frames=40, radius=3.0, size=32):
    way = [(np.asarray(where, np.float32), np.asarray(velocity, np.float32))]
    for _ in range(frames):
        way.append(advanced(*way[-1], radius, size))
    return way


def test_nothing_leaves_the_frame_and_speed_is_kept():
    way = flight([[[16.0, 16.0]]], [[[1.7, -2.3]]], frames=100)
    for where, velocity in way:
        assert (where >= 3 - 1e-4).all()
        assert (where <= 29 + 1e-4).all()
        assert np.linalg.norm(velocity) == pytest.approx(np.hypot(1.7, 2.3), rel=1e-5)


def test_a_free_flight_is_straight():
    way = flight([[[10.0, 10.0]]], [[[0.5, 0.25]]], frames=20)
    assert way[-1][0] == pytest.approx(np.array([[[20.0, 15.0]]]), abs=1e-4)


def test_equal_discs_that_meet_head_on_exchange_velocities():
    way = flight([[[16.0, 8.0], [16.0, 24.0]]], [[[0.0, 1.0], [0.0, -0.5]]], frames=12)
    assert way[-1][1] == pytest.approx(np.array([[[0.0, -0.5], [0.0, 1.0]]]), abs=1e-6)


def test_collisions_keep_energy_and_sprites_apart():
    generator = np.random.default_rng(0)
    where = np.array([[[8, 8], [8, 24], [24, 8], [24, 24]]] * 50, dtype=np.float32)
    velocity = generator.normal(0, 1.2, where.shape).astype(np.float32)
    energy = (velocity**2).sum((1, 2))
    for now, speed in flight(where, velocity, frames=60):
        assert (speed**2).sum((1, 2)) == pytest.approx(energy, rel=1e-4)
        apart = np.linalg.norm(now[:, :, None] - now[:, None], axis=-1) + 99 * np.eye(4)
        assert np.median(apart.min((1, 2))) > 5
    met = np.abs(flight(where, velocity)[-1][1]) - np.abs(velocity)
    assert (np.abs(met) > 1e-3).any((1, 2)).mean() > 0.5  # they did collide


def test_what_is_drawn_lies_where_it_should():
    shapes = np.ones((1, 1, 8, 8), dtype=np.float32)
    where = np.array([[[[10.0, 20.0]], [[10.5, 20.25]]]], dtype=np.float32)
    frames = torch.from_numpy(drawn(shapes, where, side=8.0, size=32))
    found = centres(frames)[0] + 0.5
    assert found.tolist() == [pytest.approx([10.0, 20.0]), pytest.approx([10.5, 20.25])]
    assert float((frames + 1).sum()) == pytest.approx(2 * 2 * 64, rel=1e-4)


def test_the_future_of_bouncing_digits_follows_from_two_frames():
    batch = data("scene.count=1", "scene.side=0.2", "scene.fastest=0.05", "frames=6").batch(0, 64)
    way = centres(batch["frames"])
    moved = way[:, 1:] - way[:, :-1]
    straight = (moved[:, 1:] - moved[:, :-1]).abs().amax((1, 2)) < 0.15
    assert straight.double().mean() > 0.4  # the others touch a wall
    assert not batch["random"].any()


# Chance ---------------------------------------------------------------------


def test_a_digit_turns_once_where_it_would_leave_its_quarter_one_way_or_the_other(monkeypatch):
    ways = []

    def watched(shapes, where, *size):
        ways.append(torch.from_numpy(where[:, :, 0]))
        return drawn(shapes, where, *size)

    monkeypatch.setattr(turning, "drawn", watched)
    random = data("scene=turning", "frames=12", "scene.side=0.2").batch(0, 1000)["random"]
    assert random.sum(1).max() == 1
    assert not random[:, 0].any()
    clips, turns = random[:, 1:-1].nonzero(as_tuple=True)
    assert len(turns.unique()) > 4  # no clock tells when
    now = ways[0][clips[:, None], turns[:, None] + torch.arange(3)]  # before, at, and after it
    before, after = now[:, 1] - now[:, 0], now[:, 2] - now[:, 1]
    free = ((now > 6) & (now < 26)).all(2).all(1)  # away from the walls
    now, before, after = now[free], before[free], after[free]
    assert ((now[:, 1] < 16) != (now[:, 1] + before < 16)).any(1).all()
    across = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    torch.testing.assert_close(across.abs(), before.square().sum(1))
    assert 0.4 < (across > 0).double().mean() < 0.6


def test_up_to_the_turn_both_futures_are_the_same(monkeypatch):
    """What is random must not show before: with the other turn a clip begins alike."""
    turned, other = turning._turned, lambda velocity, right: turned(velocity, ~right)
    one = data("scene=turning").batch(0, 20)
    monkeypatch.setattr(turning, "_turned", other)
    two = data("scene=turning").batch(0, 20)
    assert torch.equal(one["random"], two["random"])
    clips, turns = one["random"].nonzero(as_tuple=True)
    assert len(clips) > 10
    for clip, turn in zip(clips, turns, strict=True):
        mine, others = one["frames"][clip], two["frames"][clip]
        assert torch.equal(mine[: turn + 1], others[: turn + 1])
        assert not torch.equal(mine[turn + 1], others[turn + 1])


# Options --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("frames=1", "one given and one to predict"),
        ("image_size=4", "image_size must be at least 8"),
        ("eval_clips=0", "must be at least 1"),
        ("scene.count=5", "count must lie between 1 and 4"),
        ("scene.side=0.7", "side must lie in"),
        ("scene.fastest=0.5", "slowest <= fastest <= side"),
        ("scene=digts", "Did you mean 'digits'?"),
    ],
)
def test_options_that_cannot_be(setting, said):
    with pytest.raises(UserError) as caught:
        data(setting)
    assert said in str(caught.value)


def test_the_fingerprint_follows_everything():
    settings = [
        [],
        ["frames=8"],
        ["image_size=24"],
        ["scene=turning"],
        ["scene.count=3"],
        ["clips=9"],
    ]
    assert len({data(*one).fingerprint for one in settings}) == len(settings)
    assert data(seed=1).fingerprint == data().fingerprint


def test_a_batch_of_64_clips_is_fast():
    made = data("frames=20")
    made.batch(0, 64)
    times = []
    for turn in range(4):
        began = time.perf_counter()
        made.batch(64 * turn, 64)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.5  # 25 ms on one core


# Stored scenes --------------------------------------------------------------


class Counting(Scene):
    """A slow scene that counts how often it is asked."""

    channels, action_dim, stored = 3, 2, True
    fingerprint = "counting"
    made = 0

    def __init__(self, image_size, frames):
        self.shape = (frames, 3, image_size, image_size)

    def clips(self, seed, index, held_out):  # noqa: ARG002
        Counting.made += len(index)
        value = (np.asarray(index) + 50 * held_out).astype(np.float32) / 127.5 - 1
        frames = np.broadcast_to(value[:, None, None, None, None], (len(index), *self.shape))
        actions = np.broadcast_to(value[:, None, None], (len(index), self.shape[0], 2))
        random = np.zeros((len(index), self.shape[0]), dtype=np.bool_)
        random[::2, 1] = True
        return Clips(np.ascontiguousarray(frames), np.ascontiguousarray(actions), random)


def test_slow_clips_are_made_once_and_shuffled(monkeypatch):
    config = part_config("dataset", "clips", frames=3, clips=40, eval_clips=5, image_size=8)
    monkeypatch.setattr(type(config.scene), "build", lambda _, *sizes: Counting(*sizes))
    Counting.made = 0
    for _ in range(2):
        made = ClipData(config, seed=0)
        assert Counting.made == 45
    batch = made.batch(0, 80)
    shown = ((batch["frames"][:, 0, 0, 0, 0] + 1) * 127.5).round().int().tolist()
    assert sorted(shown[:40]) == sorted(shown[40:]) == list(range(40))
    assert shown[:40] != shown[40:]
    torch.testing.assert_close(batch["actions"][:, 0, 0], batch["frames"][:, 0, 0, 0, 0])
    assert batch["random"][:, 1].tolist() == [number % 2 == 0 for number in shown]
    held = next(iter(made.evaluation(9)))
    assert ((held["frames"][:, 0, 0, 0, 0] + 1) * 127.5).round().tolist() == [50, 51, 52, 53, 54]
