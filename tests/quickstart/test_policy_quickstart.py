"""The quickstart of robot policies from end to end, in seconds."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from quickstart_tiny import TINY_ACTIONS, run_tiny

from argmind.cli._parser import parse
from argmind.errors import UserError
from argmind.eval.results import read_results
from argmind.policy.policy import Policy
from argmind.policy.rollout import rollouts
from argmind.quickstart.parameters import count_parameters, matched
from argmind.quickstart.policy import PolicyDomain, PolicySizes
from argmind.quickstart.policy_demonstrations import demonstrated_routes, demonstrations
from argmind.quickstart.policy_study import FIRST_SEED, environment
from argmind.quickstart.policy_ways import WAYS, ways_of
from argmind.registry import find

RUNS = {"ebt": "", "dp": "diffusion", "bc": "regression"}
INPUTS = {"action_size": 2, "chunk": 16, "frames": 2, "observations": {"state": (8,)}}


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    return run_tiny("policy", tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def folder(done) -> Path:
    return Path(done.args[-1])


@pytest.fixture(scope="module")
def results(folder):
    return read_results(folder / "results.json")


def test_it_ends_well_and_leaves_three_policies_of_equal_size(done, folder, results):
    assert done.returncode == 0, done.stderr
    counts = []
    for key, name in RUNS.items():
        policy = Policy.load(folder / name, which="last")
        counts.append(policy.run.parameters)
        assert results.figures[f"{key}_parameters"].value == counts[-1]
        assert policy.plan(policy.nothing()).actions.shape == (1, 8, 2)
    assert max(abs(count - counts[0]) for count in counts) <= 0.02 * counts[0]
    assert not [*folder.rglob("*.part"), *folder.rglob("*.tmp*")]


def test_figures_agree_with_a_direct_measurement(folder, results):
    seeds = range(FIRST_SEED, FIRST_SEED + results.extra["episodes"])
    for way in (WAYS[1], *ways_of("bc")):
        policy = Policy.load(folder / RUNS[way.kind], which="last")
        found = rollouts(policy, environment, seeds, way.of(policy))
        share = np.mean([one.success for one in found])
        assert results.figures[f"point_success_{way.key}"].value == pytest.approx(share)


def test_every_way_of_asking_costs_what_it_says(results):
    figures = results.figures
    for way in WAYS:
        assert figures[f"nfe_{way.key}"].value == (way.steps or 1)
        assert figures[f"time_per_action_ms_{way.key}"].value > 0
        success = figures[f"point_success_{way.key}"]
        assert 0 <= success.low <= success.value <= success.high <= 1
        assert success.high > success.low
        left = figures[f"point_left_share_{way.key}"]
        assert (left.value is None) == (success.value == 0)
    gap = figures["point_success_ebt_2"].value - figures["point_success_ddpm_100"].value
    assert figures["ebt_2_minus_ddpm_100"].value == pytest.approx(gap)
    assert figures["ebt_2_times_faster_than_ddpm_100"].value > 1


def test_the_report_is_sound_and_moves(folder, results, checked):
    page = (folder / "report.html").read_text()
    found = checked(page)
    assert found.faults == []
    assert page.count("data:image/gif;base64,") == 3 * 3
    shares = [results.figures[f"point_success_{way}"].value for way in ("ebt_2",)]
    strips = sum(share < 1 for share in shares) + sum(share > 0 for share in shares)
    assert found.tags["svg"] == 2 + 1 + strips
    assert "One training run with one seed" in found.words


def test_the_terminal_tells_the_table_and_what_to_do_next(done):
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for words in ("EBT-Policy, 1 step ", "Diffusion Policy, DDPM, 100 steps ", "Regression, one "):
        assert any(line.startswith(words) for line in lines)
    commands = lines[-3:]
    assert [shlex.split(command)[1] for command in commands] == ["rollout", "demos", "quickstart"]
    for command in commands:
        assert parse(shlex.split(command)[1:]) is not None
    assert "chunks/s" in done.stderr


# ------------------------------------------------------------------ terms and demonstrations


@pytest.mark.parametrize("sizes", [PolicySizes(), TINY_ACTIONS])
def test_rivals_are_matched_and_share_what_is_no_part_of_the_model(sizes, cache, monkeypatch):
    monkeypatch.setenv("ARGMIND_CACHE", str(cache))
    domain = PolicyDomain(sizes)
    thinker, *rivals = domain.recipes()
    target = count_parameters(thinker, INPUTS)
    for entrant, rival in zip(domain.entrants[1:], rivals, strict=True):
        wide = matched(rival, entrant.width, target, INPUTS)
        assert abs(count_parameters(wide, INPUTS) - target) <= 0.02 * target
        assert (wide.data, wide.training) == (thinker.data, thinker.training)
        assert wide.optimizer.lr == thinker.optimizer.lr


def test_demonstrations_are_made_once_and_go_both_ways(cache, monkeypatch):
    monkeypatch.setenv("ARGMIND_CACHE", str(cache))
    made = demonstrations(16)
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    assert demonstrations(16) == made
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before
    routes = demonstrated_routes(made)
    assert len(routes) == 16
    assert set(routes) == {"left", "right"}
    assert demonstrations(17) != made


@pytest.mark.parametrize("package", ["pyarrow", "PIL"])
def test_missing_packages_are_said_before_anything_is_done(monkeypatch, tmp_path, package):
    monkeypatch.chdir(tmp_path)
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"pip install 'argmind\["):
        find("quickstart", "policy")(out=None, seed=0, silent=True)
    assert not list(tmp_path.iterdir())
