"""Environments: seeds, bounds, ends, pictures, hands; alone and side by side."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from argmind import registry
from argmind.errors import UserError
from argmind.policy.environments import _camera, make
from argmind.policy.environments._canvas import AGENT, PAPER, TRAIL, WALL, Canvas
from argmind.policy.experts import expert_for

from .worlds import absent, opened, played, worlds


@worlds()
def test_an_episode_is_a_function_of_its_seed(name):
    world, other = opened(name), opened(name)
    first, _ = played(world, 3, steps=40)
    played(world, 8, steps=25)  # leaves things elsewhere
    again, _ = played(world, 3, steps=40)
    fresh, _ = played(other, 3, steps=40)
    assert np.array_equal(first, again)
    assert np.array_equal(first, fresh)
    starts = {tuple(world.reset(seed)[0]["state"]) for seed in range(5)}
    assert len(starts) == 5


@worlds()
def test_the_expert_succeeds_within_the_bounds(name):
    world = opened(name)
    for seed in range(4):
        _, info = played(world, seed)
        assert info["success"] is True
        assert info["score"] == 1.0
    seen, info = world.reset(0)
    script = expert_for(world, 0, noise_std=3.0)
    action = script.act(seen, info)
    assert action.dtype == np.float32
    assert (action >= world.action_low).all()
    assert (action <= world.action_high).all()
    assert (np.abs(action) == 1).any()  # noise of 3 would leave them


@worlds()
def test_what_is_observed_is_what_is_announced(name):
    world = opened(name)
    seen, info = world.reset(0)
    assert {key: value.shape for key, value in seen.items()} == world.observation_shapes
    assert seen["state"].dtype == np.float32
    assert info["success"] is False
    assert info["score"] == 0.0
    assert world.name == name


@worlds()
def test_actions_beyond_the_bounds_are_moved_to_them(name):
    world = opened(name)
    states = [
        played(world, 1, steps=6, act=lambda _, scale=scale: scale * world.action_high)[0]
        for scale in (1, 50)
    ]
    assert np.array_equal(*states)


@worlds()
def test_an_episode_is_cut_off(name):
    world = opened(name, max_steps=3)
    world.reset(0)
    ends = [world.step(0 * world.action_low)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


@worlds()
def test_wrong_actions_are_named(name):
    world = opened(name)
    with pytest.raises(UserError, match="reset"):
        world.step(world.action_low)
    with pytest.raises(UserError, match="reset"):
        world.render()
    world.reset(0)
    with pytest.raises(UserError, match="shape"):
        world.step(np.zeros(7))
    with pytest.raises(UserError, match="finite"):
        world.step(np.full(len(world.action_low), np.nan))
    with pytest.raises(UserError, match="at least 0"):
        world.reset(-1)


@worlds()
def test_a_hand_moves_something_and_the_expert_recovers(name):
    world = opened(name)
    undisturbed, _ = played(world, 2, steps=6)
    seen, info = world.reset(2)
    script = expert_for(world, 2)
    script.reset()
    for _ in range(5):
        seen, *_, info = world.step(script.act(seen, info))
    world.perturb(np.random.default_rng(0))
    for step in range(500):
        seen, _, terminated, truncated, info = world.step(script.act(seen, info))
        if step == 0:
            assert np.abs(seen["state"] - undisturbed[6]).max() > 0.01
        if terminated or truncated:
            break
    assert info["success"]


@worlds("point", "pointmaze")
def test_both_ways_are_taken_whatever_is_seen(name):
    world = opened(name)
    routes = [played(world, seed)[1]["route"] for seed in range(24)]
    assert {"left", "right"} == set(routes)
    assert 5 <= routes.count("left") <= 19
    sides = [played(world, 0)[1]["route"]]
    seen, info = world.reset(0)
    for seed in range(1, 10):  # one start, several experts
        script = expert_for(world, seed)
        seen, info = world.reset(0)
        for _ in range(400):
            seen, _, terminated, _, info = world.step(script.act(seen, info))
            if terminated:
                break
        sides.append(info["route"])
    assert len(set(sides)) == 2


@worlds("point", "pointmaze")
def test_the_middle_way_fails(name):
    """Straight ahead, the average of left and right, ends at the obstacle."""
    world = opened(name)
    states, info = played(world, 0, act=lambda _: np.array([0.0, 1.0]))
    assert not info["success"]
    assert info["route"] in ("", "left", "right")
    assert states[-1, 1] < states[-1, 5]  # below the goal


def test_touching_the_bar_ends_the_point():
    world = make("point")
    world.reset(0)
    for _ in range(200):
        _, reward, terminated, truncated, info = world.step([0, 1])
        if terminated:
            break
    assert terminated
    assert not truncated
    assert info["crashed"]
    assert reward == 0


@absent("metaworld")
@pytest.mark.parametrize("task", ["door-open-v3", "peg-insert-side-v3", "assembly-v3"])
def test_tasks_of_metaworld(task):
    world = make("metaworld", task=task)
    states, info = played(world, 1)
    assert info["success"]
    goal = states[:, 36:39]
    assert (goal == goal[0]).all()
    assert goal.any()  # in sight
    if task == "door-open-v3":
        with pytest.raises(UserError, match="no object"):
            world.perturb(np.random.default_rng(0))


@absent("metaworld")
def test_metaworld_is_told_of_touches_as_its_package_would_tell():
    world = make("metaworld", task="pick-place-v3")
    inner = world._world
    mine, slow = inner.touching_object, type(inner).touching_object
    said: list[tuple[bool, bool]] = []

    def both(shape: int) -> bool:
        said.append((mine(shape), bool(slow(inner, shape))))
        return said[-1][0]

    inner.touching_object = both
    played(world, 1)
    assert all(one == other for one, other in said)
    assert {one for one, _ in said} == {True, False}


# ------------------------------------------------------------------ pictures


@worlds()
def test_pictures(name):
    settings = {"view": "sketch"} if name == "metaworld" else {}
    world = opened(name, pixels=True, image_size=32, **settings)
    seen, _ = world.reset(0)
    assert world.observation_shapes["image"] == (3, 32, 32)
    assert seen["image"].shape == (32, 32, 3)
    assert seen["image"].dtype == np.uint8
    assert world.render(64).shape == (64, 64, 3)
    assert len(np.unique(seen["image"].reshape(-1, 3), axis=0)) > 10
    played(world, 0, steps=15)
    assert (world.render(32) != seen["image"]).any()
    world.close()


@worlds("point", "pointmaze")
def test_the_way_so_far_is_for_people_alone(name):
    """What is observed may not tell of the past."""
    world = opened(name, pixels=True, image_size=200)
    seen, info = world.reset(0)
    script = expert_for(world, 0)
    for _ in range(20):
        seen, *_, info = world.step(script.act(seen, info))
    shown = [(pixels == TRAIL).all(-1).any() for pixels in (seen["image"], world.render(200))]
    assert shown == [False, True]


def test_shapes_are_drawn_where_they_are():
    canvas = Canvas(100, (0, 0), (1, 1))
    canvas.box((0.1, 0.6), (0.4, 0.9), WALL)  # above on the left: y points up
    canvas.disc((0.75, 0.25), 0.1, AGENT)
    canvas.line([(0.1, 0.1), (0.1, 0.4)], 0.05, WALL)
    canvas.ring((0.75, 0.75), 0.1, 0.02, AGENT)
    pixels = canvas.pixels
    assert tuple(pixels[25, 25]) == WALL
    assert tuple(pixels[75, 75]) == AGENT
    assert tuple(pixels[75, 10]) == WALL
    assert tuple(pixels[25, 75]) == PAPER  # inside the ring
    assert tuple(pixels[25, 85]) != PAPER  # on it
    assert tuple(pixels[50, 50]) == PAPER
    inside = (pixels == AGENT).all(-1).sum() / 1e4
    assert inside == pytest.approx(np.pi * 0.1**2, rel=0.15)


@absent("metaworld")
def test_a_camera_needs_no_display():
    try:
        _camera._backend("")
    except UserError as error:
        pytest.skip(str(error))
    world = make("metaworld", pixels=True, image_size=24)
    seen, _ = world.reset(0)
    assert seen["image"].shape == (24, 24, 3)
    assert seen["image"].std() > 5
    assert np.array_equal(world.render(24), seen["image"])
    assert not np.array_equal(world.render(48)[::2, ::2], seen["image"])
    world.close()


def test_no_way_of_drawing_is_said(monkeypatch):
    def fails(*_, **__):
        return subprocess.CompletedProcess([], 1)

    monkeypatch.setattr(_camera.subprocess, "run", fails)
    with pytest.raises(UserError, match=r"tried osmesa.*libosmesa6.*view=sketch"):
        _camera._backend.__wrapped__("osmesa")


# ------------------------------------------------------------------ names and packages


def test_misspelt_names_and_settings():
    with pytest.raises(UserError, match="Did you mean 'point'"):
        make("pont")
    with pytest.raises(UserError, match="max_steps"):
        make("point", max_step=3)
    with pytest.raises(UserError, match="image_size"):
        make("point", image_size=2)
    with pytest.raises(UserError, match="spread"):
        make("point", spread=1.0)
    with pytest.raises(UserError, match="noise_std"):
        expert_for(make("point"), 0, noise=0.1)


@absent("metaworld")
def test_misspelt_task():
    with pytest.raises(UserError, match="Did you mean 'push-v3'"):
        make("metaworld", task="push")


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("metaworld", "metaworld.env_dict"),
        ("pointmaze", "gymnasium_robotics.envs.maze.point_maze"),
    ],
)
def test_an_absent_package_names_the_extra(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install 'argmind\[policy\]'"):
        make(name)


def test_every_environment_has_an_expert():
    assert set(registry.names("environment")) == set(registry.names("expert"))
