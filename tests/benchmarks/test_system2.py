"""The ablations of System 2: what is left out, what is measured, what is told."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

TINY = (
    "--seeds 1 --steps 2 --batch-size 2 --context 16 --layers 1 --heads 2 --dim 16 --limit 2 "
    "--further dyck=problems:dyck/hard/50"
)


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import system2

    (tmp_path / "text.txt").write_text("To be, or not to be: that is the question. " * 50)
    monkeypatch.setenv("ARGMIND_CACHE", str(tmp_path / "cache"))
    words = [*shlex.split(TINY), "--data", str(tmp_path / "text.txt")]
    monkeypatch.setattr(sys, "argv", ["system2.py", *words, "--out", str(tmp_path / "s.json")])
    return system2._arguments()


def test_each_ablation_leaves_out_one_part(arguments: Any) -> None:
    from system2 import WITHOUT, chosen_recipe

    def parts(name: str) -> dict[str, bool]:
        recipe = chosen_recipe(name, 0, arguments)
        thinking, objective = recipe.thinking, recipe.objective
        return {
            "random_step_size": thinking.schedule.scale != 1,
            "random_steps": objective.fewest_steps is not None,
            "langevin": thinking.rule.noise_std != 0,
            "replay": objective.replay_samples > 0,
        }

    assert all(parts("all").values())
    for name in WITHOUT:
        left_out = [part for part, there in parts(name).items() if not there]
        assert left_out == ([] if name == "all" else [name.removeprefix("without_")])


def test_what_is_measured_and_told(arguments: Any) -> None:
    from system2 import figures, work

    row = {"seed": 0, **work("all", 0, arguments)}
    assert set(row["texts"]) == {"text", "dyck"}
    named = {name: measured for name, measured, _ in figures({"all": [row]})}
    nats = row["texts"]["text"]
    expected = 100 * (1 - math.exp(nats["2"]) / math.exp(nats["1"]))
    assert named["text_think_gain_percent"].value == pytest.approx(expected)
    assert named["dyck_nats_4T"].value == row["texts"]["dyck"]["4"]
    ablated = {name for name, *_ in figures({"without_replay": [row]})}
    assert "text_verify_gain_percent_without_replay" in ablated
