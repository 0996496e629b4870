"""Demonstrations: the same whatever the number of processes, successful, written whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argmind.cli import main
from argmind.data.episodes import Episode, read_episodes, read_origin
from argmind.errors import UserError
from argmind.policy.demos import Stage, Tally, demonstrate, record
from argmind.policy.environments import make

from .worlds import opened, worlds

pytest.importorskip("pyarrow", reason="needs pyarrow (extra policy)")


def alike(one: Episode, other: Episode) -> bool:
    """The same seed and the same numbers."""
    return (
        one.seed == other.seed
        and np.array_equal(one.actions, other.actions)
        and np.array_equal(one.observations["state"], other.observations["state"])
    )


def test_episodes_are_functions_of_seed_and_number():
    first = list(demonstrate("point", {}, 4, seed=1))
    again = list(demonstrate("point", {}, 6, seed=1))
    others = list(demonstrate("point", {}, 4, seed=2))
    assert all(map(alike, first, again[:4]))
    assert not any(map(alike, first, others))
    assert len({episode.seed for episode in again}) == 6


def test_processes_change_nothing():
    alone = list(demonstrate("point", {}, 5, seed=3))
    shared = list(demonstrate("point", {}, 5, seed=3, workers=2))
    assert [alike(*pair) for pair in zip(alone, shared, strict=True)] == [True] * 5


@worlds()
def test_an_episode_played_again_gives_what_was_recorded(name):
    world = opened(name)
    settings = {"task": "push-v3"} if name == "metaworld" else {}
    (episode,) = demonstrate(name, settings, 1)
    seen, _ = world.reset(episode.seed)
    for step, action in enumerate(episode.actions):
        assert np.array_equal(seen["state"], episode.observations["state"][step])
        seen, reward, terminated, _, info = world.step(action)
        assert np.float32(reward) == episode.rewards[step]
        assert terminated == (step == len(episode) - 1)
    assert info["success"]
    assert (episode.success, episode.score) == (True, 1.0)
    assert episode.route == info.get("route", "")


def test_only_successes_are_kept_unless_asked():
    hasty: dict[str, Any] = {"max_steps": 41}  # too few steps for about half
    tally = Tally()
    kept = list(demonstrate("point", hasty, 3, tally=tally))
    assert all(episode.success for episode in kept)
    assert tally.attempts > tally.kept == len(kept) == tally.successes == 3
    assert tally.success_rate == pytest.approx(3 / tally.attempts)
    assert tally.mean_score == tally.success_rate
    both = list(demonstrate("point", hasty, 8, keep_failures=True))
    assert len(both) == 8
    assert {episode.success for episode in both} == {True, False}


def test_an_expert_that_never_succeeds_is_told_and_nothing_left(tmp_path):
    with pytest.raises(UserError, match=r"succeeded in 0 of 30 attempts.*keep failures"):
        record(tmp_path / "d", "point", {"max_steps": 2}, 1)
    assert not list(tmp_path.iterdir())
    made = record(tmp_path / "d", "point", {"max_steps": 2}, 2, keep_failures=True)
    assert (made.steps, made.tally.success_rate) == (4, 0.0)


def test_what_is_written_says_where_it_comes_from(tmp_path):
    counted: list[int] = []
    settings = {"max_steps": 100, "pixels": True, "image_size": 16}
    pytest.importorskip("PIL", reason="needs pillow (extra policy)")
    made = record(tmp_path / "d", "point", settings, 3, seed=5, on_done=counted.append)
    assert counted == [1, 2, 3]
    origin = read_origin(tmp_path / "d")
    assert (origin.environment, dict(origin.settings)) == ("point", settings)
    assert origin.fps == make("point").fps
    assert (origin.action_low, origin.action_high) == ((-1.0, -1.0), (1.0, 1.0))
    assert origin.made["seed"] == 5
    episodes = read_episodes(tmp_path / "d")
    assert sum(map(len, episodes)) == made.steps
    assert episodes[0].observations["image"].shape[1:] == (16, 16, 3)
    assert sum(made.tally.routes.values()) == 3
    world = make(origin.environment, **origin.settings)
    seen, _ = world.reset(episodes[0].seed)
    assert np.array_equal(seen["image"], episodes[0].observations["image"][0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pont", {}), "Did you mean 'point'"),
        (("point", {"max_step": 3}), "max_steps"),
        (("point", {}, 0), "at least 1"),
    ],
)
def test_mistakes_are_told_before_anything_begins(arguments, said, tmp_path):
    with pytest.raises(UserError, match=said):
        demonstrate(*arguments)
    with pytest.raises(UserError, match=said):
        record(tmp_path / "d", *arguments)
    with pytest.raises(UserError, match="noise_std"):
        demonstrate("point", {}, 1, expert={"noise": 1})
    assert not list(tmp_path.iterdir())


def test_seeds_are_far_from_those_of_evaluations():
    seeds = [Stage(environment="point").seed_of(number) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert min(seeds) > 100_000
    assert max(seeds) < 2**31


# ------------------------------------------------------------------ the verb


@dataclass
class Said:
    """What a command printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def demos(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call ``argmind demos`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Said:
        code = main(["demos", *map(str, words)])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call


def test_verb(demos, tmp_path):
    done = demos("point", "--set", "max_steps=100", "--episodes", 4, "--out", "made/d", "--seed", 2)
    assert done.code == 0
    assert "4 episodes" in done.out
    assert "expert: 100.0% of 4 attempts succeeded, mean score 1.000" in done.out
    assert "ways taken: " in done.out
    found = read_episodes(tmp_path / "made/d")
    assert all(map(alike, found, demonstrate("point", {"max_steps": 100}, 4, 2)))
    again = demos("point", "--episodes", 4, "--out", "made/d")
    assert (again.code, again.out) == (2, "")
    assert "exists already" in again.err


def test_verb_as_json(demos):
    words = ["point", "--episodes", 2, "--out", "d", "--json", "--set", "expert.noise_std=0.5"]
    plain = json.loads(demos(*words).out)
    assert (plain["episodes"], plain["expert"]) == (2, {"noise_std": 0.5})
    assert 0 < plain["expert_success_rate"] <= 1
    assert plain["command"].startswith("argmind demos point")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pont"], "Did you mean 'point'"),
        (["point", "--set", "max_step=3"], "Did you mean 'max_steps'"),
        (["point", "--set", "max_steps=many"], "max_steps: expected int"),
        (["point", "--set", "pixels"], "name.of.option=value"),
        (["point", "--set", "expert.noise=1"], "Did you mean 'noise_std'"),
        (["point", "--workers", "0"], "at least 1"),
    ],
)
def test_verb_refuses(words, said, demos, tmp_path):
    done = demos(*words, "--episodes", 2, "--out", "d")
    assert done.code == 2
    assert said in done.err
    assert not list(tmp_path.iterdir())


def test_help_teaches(demos):
    done = demos("--help")
    for word in (
        "argmind demos metaworld --set task=",
        "expert.noise_std",
        "Ctrl-C",
        "argmind[policy]",
    ):
        assert word in done.out


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_leaves_nothing(tmp_path):
    words = ["-m", "argmind", "demos", "point", "--episodes", "100000", "--out", "d"]
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests may ignore it, and a process inherits that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while not list(tmp_path.glob(".d.draft-*/data/*/*.parquet")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())
