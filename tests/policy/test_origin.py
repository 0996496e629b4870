"""A run knows the environment that it was taught in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from argmind.data.episodes import Origin, load_origin, save_origin
from argmind.data.episodes.origin import ORIGIN_FILE
from argmind.errors import UserError
from argmind.policy.origin import environment_of
from argmind.runs import LoadedRun

from .tiny import Stand, policy_of


def run_in(folder: Path, **origin) -> LoadedRun:
    if origin:
        save_origin(folder, Origin(**origin))
    return replace(policy_of(Stand()).run, folder=folder)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    origin = Origin(
        environment="point",
        settings={"max_steps": 30},
        fps=20.0,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
        made={"seed": 3},
    )
    save_origin(tmp_path, origin)
    assert load_origin(tmp_path) == origin
    assert load_origin(tmp_path / "none") is None
    path = tmp_path / ORIGIN_FILE
    path.write_bytes(path.read_bytes().replace(b"30", b"31"))
    with pytest.raises(UserError, match=r"origin\.json is damaged"):
        load_origin(tmp_path)


def test_the_environment_is_set_up_as_it_was(tmp_path: Path) -> None:
    run = run_in(tmp_path, environment="point", settings={"max_steps": 30, "spread": 0.1})
    world = environment_of(run).build()
    assert (world.name, world.max_steps) == ("point", 30)
    changed = environment_of(run, settings=["max_steps=7"])
    assert (changed.max_steps, changed.spread) == (7, 0.1)
    assert environment_of(run, "point").max_steps == 120  # another, as it is by itself


def test_environments_that_are_not_known(tmp_path: Path) -> None:
    foreign = run_in(tmp_path, environment="so101", settings={"camera": "top"})
    with pytest.raises(UserError, match=r"come from 'so101'.*--env .*point.*a loop of your own"):
        environment_of(foreign)
    with pytest.raises(UserError, match="Did you mean 'point'"):
        environment_of(foreign, "pont")
    with pytest.raises(UserError, match="max_stps"):
        environment_of(foreign, "point", ["max_stps=3"])
    with pytest.raises(UserError, match="episodes from Python"):
        environment_of(run_in(tmp_path / "other"))
