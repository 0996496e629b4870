"""Push-T: what its scores mean, the expert's simulation, and how well the expert pushes."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from argmind.errors import UserError
from argmind.policy.environments import make
from argmind.policy.experts import expert_for
from argmind.policy.experts._push_planner import PushPlanner
from argmind.policy.experts._push_simulation import (
    AGENT_RADIUS,
    GOAL,
    WALL_HIGH,
    WALL_LOW,
    PushSimulation,
    corners,
    distance,
    moved,
    to_block,
    to_table,
)
from argmind.policy.experts._strokes import RIM, Routes, along

from .worlds import absent

needs_pusht = absent("pusht")


def placed(world, pose, disc=(40.0, 40.0)):
    """The environment with its block moved to a pose; the disc is out of its way."""
    world.reset(0)
    world._world.block.angle = float(pose[2])
    world._world.block.position = tuple(map(float, pose[:2]))
    world._world.agent.position = disc
    return world.step(disc)


def covered(pose, spacing=0.25):
    """Share of the goal that a block covers, by counting points."""
    grid = np.arange(128, 384, spacing)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    home = distance(to_block(GOAL, points)) == 0
    return float((distance(to_block(pose, points[home])) == 0).mean())


def towards(begin, end, pace):
    """Targets from a place to another, so many pixels a step."""
    count = int(np.ceil(np.linalg.norm(end - begin) / pace))
    return np.linspace(begin, end, count + 1)[1:]


@needs_pusht
@pytest.mark.parametrize("offset", [(0, 0, 0), (1.2, 0, 0), (4, -3, 0.02), (-30, 50, 1.0)])
def test_score_is_the_covered_share_and_reward_is_clipped(offset):
    pose = GOAL + np.array(offset)
    _, reward, terminated, _, info = placed(make("pusht"), pose)
    assert info["score"] == pytest.approx(covered(pose), abs=0.003)
    assert reward == pytest.approx(min(1, info["score"] / 0.95))
    assert info["success"] is terminated is (info["score"] > 0.95)


@needs_pusht
def test_success_asks_for_more_than_the_reward_shows():
    world = make("pusht")
    _, good, _, _, full = placed(world, GOAL)
    _, clipped, _, _, near = placed(world, GOAL + np.array([1.2, 0, 0]))
    assert good == clipped == 1
    assert near["score"] < full["score"] == pytest.approx(1)


@needs_pusht
def test_states_tell_the_same_of_a_table():
    plain, keypoints = make("pusht"), make("pusht", state="keypoints")
    seen = make("pusht", state="agent", pixels=True, image_size=48)
    for seed in range(3):
        pose = plain.reset(seed)[0]["state"]
        told = keypoints.reset(seed)[0]["state"]
        shown = seen.reset(seed)[0]
        block = told[:16].reshape(8, 2)
        apart = np.linalg.norm(block[:, None] - corners(pose[2:].astype(np.float64)), axis=-1)
        assert apart.min(1).max() < 1e-3  # every keypoint is a corner, in another order
        assert np.array_equal(told[16:], pose[:2])
        assert np.array_equal(shown["state"], pose[:2])
        assert shown["image"].shape == (48, 48, 3)
        assert len(np.unique(shown["image"].reshape(-1, 3), axis=0)) > 3


@needs_pusht
def test_an_episode_is_a_function_of_its_seed():
    world = make("pusht")

    def played():
        seen = [world.reset(5)[0]["state"]]
        seen += [world.step(place)[0]["state"] for place in towards(seen[0][:2], GOAL[:2], 20)]
        return np.stack(seen)

    first = played()
    world.reset(6)
    assert np.array_equal(first, played())


@needs_pusht
def test_a_hand_moves_the_block_and_nothing_else():
    world = make("pusht")
    for seed in range(6):
        world.reset(seed)
        before = world.pose
        world.perturb(np.random.default_rng(seed))
        after = world.pose
        assert 40 <= np.linalg.norm(after[2:4] - before[2:4]) <= 100
        assert np.array_equal(after[:2], before[:2])
        assert distance(to_block(after[2:], after[:2])) > AGENT_RADIUS
        assert corners(after[2:]).min() > WALL_LOW
        assert corners(after[2:]).max() < WALL_HIGH
        observed = world.step(after[:2])[0]["state"]
        assert np.allclose(observed[2:4], after[2:4], atol=0.1)
        world.reset(seed)
        world.perturb(np.random.default_rng(seed))
        assert np.array_equal(world.pose, after)


@needs_pusht
@pytest.mark.parametrize("seed", [0, 2, 4, 9, 11, 14])
def test_the_simulation_agrees_step_for_step(seed):
    world = make("pusht")
    world.reset(seed)
    pose, rng = world.pose, np.random.default_rng(seed)
    table = PushSimulation(pose[None, 2:], pose[:2], world.velocity)
    through = to_table(pose[2:], rng.normal(size=2) * 15)
    way = 0.0
    for target in towards(pose[:2], through, 10).astype(np.float32).astype(np.float64):
        world.step(target)
        table.step(target[:, None])
        assert moved(world.pose[2:], table.poses[0]) < 0.01
        way = float(moved(pose[2:], table.poses[0]))
    assert way > 10


def test_tables_side_by_side_do_not_meet():
    rng = np.random.default_rng(0)
    blocks = np.stack([*rng.uniform(100, 400, (2, 12)), rng.uniform(-3, 3, 12)], -1)
    discs = to_table(blocks, np.tile([0.0, -80.0], (12, 1)))
    targets = np.linspace(discs, to_table(blocks, rng.normal(size=(12, 2)) * 10), 12, axis=1)
    together = PushSimulation(blocks, discs, np.zeros(2)).run(targets)
    for row in range(12):
        table = PushSimulation(blocks[row, None], discs[row], np.zeros(2))
        assert np.allclose(table.run(targets[row, None])[0], together[row], atol=1e-9)
    assert moved(blocks, together[:, -1]).min() > 5


@needs_pusht
@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_walls_push_the_block_out_as_in_the_game(turn):
    world, disc = make("pusht"), np.array([400.0, 60.0])
    block = np.array([2.0, 256.0, turn - np.pi / 2])  # the bar beyond the wall, the foot away
    placed(world, block, tuple(disc))
    table = PushSimulation(block[None], disc, np.zeros(2))
    table.step(disc[:, None])
    for _ in range(30):
        world.step(disc)
        table.step(disc[:, None])
        assert moved(world.pose[2:], table.poses[0]) < 2.0
    assert corners(table.poses[0]).min() > WALL_LOW - 0.5
    assert moved(block, table.poses[0]) > 2


def test_ways_keep_away_from_the_block():
    rng, found = np.random.default_rng(0), 0
    for _ in range(40):
        block = np.array([*rng.uniform(150, 360, 2), rng.uniform(-3, 3)])
        disc = to_table(block, RIM[rng.integers(len(RIM))])
        place = RIM[rng.integers(len(RIM))]
        routes = Routes(block, disc, 0.0, rng)
        way = routes.way(place)
        assert (way is None) == (routes.length(place[None])[0] >= 1e6)
        if way is not None:
            found += 1
            passed = along(np.concatenate([disc[None], way]), 5.0)
            assert distance(to_block(block, passed)).min() > AGENT_RADIUS + 2
            assert np.linalg.norm(np.diff(passed, axis=0), axis=1).max() < 5.01
            assert np.allclose(to_block(block, passed[-1]), place)
    assert found > 30


def test_refined_strokes_are_no_worse():
    rng = np.random.default_rng(3)
    planner = PushPlanner(rng, pace=13.0, variety=0.0)
    block = np.array([280.0, 230.0, 1.2])
    disc = to_table(block, np.array([0.0, 120.0]))
    plan = planner.plan(block, Routes(block, disc, 0.0, rng))
    better = planner.refine(block, plan, None)
    costs = planner._cost(block, np.stack([plan, better]), None)
    assert costs[1] <= costs[0]
    assert costs[1] < 60


def performed(world, seed, steps=300, hand_at=None, **settings):
    """Actions of the expert and the last info."""
    seen, info = world.reset(seed)
    expert = expert_for(world, seed, **settings)
    expert.reset()
    actions = []
    for step in range(steps):
        if step == hand_at:
            world.perturb(np.random.default_rng(seed))
        actions.append(expert.act(seen, info))
        seen, _, terminated, _, info = world.step(actions[-1])
        if terminated:
            break
    return np.stack(actions), info


@needs_pusht
def test_the_expert_brings_the_block_home_smoothly():
    world = make("pusht")
    actions, info = performed(world, 9)
    assert info["success"]
    assert actions.dtype == np.float32
    assert np.linalg.norm(np.diff(actions, axis=0), axis=1).max() < 14
    assert (actions >= world.action_low).all()
    assert (actions <= world.action_high).all()


@needs_pusht
def test_the_expert_is_a_function_of_its_seed():
    world = make("pusht")
    first, _ = performed(world, 14, steps=45)
    again, _ = performed(world, 14, steps=45)
    other, _ = performed(world, 14, steps=45, clumsiness=0.1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@needs_pusht
def test_the_expert_recovers_from_a_hand():
    _, info = performed(make("pusht"), 3, hand_at=30)
    assert info["success"]


@needs_pusht
@pytest.mark.parametrize(
    ("settings", "named"),
    [({"pace": 1.0}, "pace"), ({"clumsiness": 2.0}, "clumsiness"), ({"variety": -1.0}, "variety")],
)
def test_wrong_settings_of_the_expert_are_named(settings, named):
    with pytest.raises(UserError, match=named):
        expert_for(make("pusht"), 0, **settings)


def test_a_state_without_the_block_needs_pictures():
    with pytest.raises(UserError, match="pixels=true"):
        make("pusht", state="agent")


def test_what_to_install_is_said(monkeypatch):
    for module in ("gym_pusht", "gym_pusht.envs", "gym_pusht.envs.pusht"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"argmind\[policy\]"):
        make("pusht")
