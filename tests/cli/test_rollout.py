"""``rollout``: policies in their environments, from the command line."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

import argmind

from .conftest import cli, ok, process, refused

pytest.importorskip("pyarrow", reason="demonstrations are kept in Parquet files")

SMALL = [
    "training.batch_size=4",
    "training.eval_every=5",
    "training.eval_limit=4",
    "optimizer.warmup_steps=2",
]
SIZES = ("num_layers=1", "num_heads=2", "hidden_dim=16")
TRUNKS = {"ebt": "predictor.body.transformer"}
SHORT = ["--episodes", 3, "--set", "max_steps=18"]


@pytest.fixture(scope="session")
def demos(runs):
    path = runs / "demos-point"
    done = cli("demos", "point", "--episodes", 4, "--out", path)
    assert done.code == 0, done.err
    return path


@pytest.fixture(scope="session")
def run(runs, demos):
    """The folder of a policy's run, trained when first asked for."""

    def folder(name: str) -> Path:
        path = runs / f"policy-{name}"
        if not path.exists():
            trunk = TRUNKS.get(name, "predictor.transformer")
            settings = [*SMALL, *(f"{trunk}.{size}" for size in SIZES)]
            words = ["--data", demos, "--steps", 5, "--device", "cpu", "--out", path]
            done = cli("train", f"policy_point_{name}", *words, "--set", *settings)
            assert done.code == 0, done.err
        return path

    return folder


@pytest.mark.parametrize("model", ["ebt", "diffusion", "regression"])
def test_every_model(run, model):
    found = ok("rollout", run(model), *SHORT)
    assert (found["environment"], found["episodes"], found["seed"]) == ("point", 3, 100_000)
    assert (found["execute"], found["side_by_side"]) == (8, 3)
    (row,) = found["rows"]
    assert [one["seed"] for one in row["rollouts"]] == [100_000, 100_001, 100_002]
    assert all(0 < one["steps"] <= 18 for one in row["rollouts"])
    good = sum(one["success"] for one in row["rollouts"])
    assert row["success"]["value"] == pytest.approx(good / 3)
    assert row["success"]["low"] <= good / 3 <= row["success"]["high"]
    assert 0 <= row["score"]["value"] <= 1
    assert row["ms_per_action"] > 0
    assert (row["energy"] is None) == (model == "regression")
    assert (row["steps"] is None) == (model == "regression")
    plans = [plan for one in row["rollouts"] for plan in one["plans"]]
    actions = sum(one["steps"] for one in row["rollouts"])
    assert row["nfe_per_action"] == pytest.approx(sum(p["nfe"] for p in plans) / actions)


def test_the_table(run):
    done = cli("rollout", run("ebt"), *SHORT, "--steps", 1, 3, "--candidates", 2)
    assert done.code == 0, done.err
    for word in ("success", "max score (mean)", "NFE/action", "ms/action", "energy"):
        assert word in done.out
    rows = [
        line.split()
        for line in done.out.splitlines()
        if line.split()[:2] in (["1", "2"], ["3", "2"])
    ]
    assert len(rows) == 2
    assert "plans were made 3 at a time" in done.out
    plain = cli("rollout", run("regression"), *SHORT)
    assert "energy" not in plain.out
    assert "steps" not in plain.out


def test_steps_cost_what_they_say(run):
    rows = ok("rollout", run("ebt"), *SHORT, "--steps", 1, 3)["rows"]
    assert [row["steps"] for row in rows] == [1, 3]
    for row in rows:
        nfe = {plan["nfe"] for one in row["rollouts"] for plan in one["plans"]}
        assert nfe == {row["steps"]}


def test_an_episode_does_not_depend_on_those_beside_it(run):
    words = ["rollout", run("ebt"), "--set", "max_steps=18", "--seed", 5]
    together, alone = (
        ok(*words, "--episodes", 3, "--batch-size", size)["rows"][0]["rollouts"] for size in (3, 1)
    )
    single = ok("rollout", run("ebt"), "--set", "max_steps=18", "--seed", 7, "--episodes", 1)
    for one, other in zip(
        [*together, together[2]], [*alone, *single["rows"][0]["rollouts"]], strict=True
    ):
        assert one["seed"] == other["seed"]
        assert one["steps"] == other["steps"]
        energies = ([plan["energy"] for plan in each["plans"]] for each in (one, other))
        assert next(energies) == pytest.approx(next(energies), abs=1e-4)


def test_a_film(run, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (extra 'image')")
    words = ["rollout", run("ebt"), *SHORT, "--steps", 2, "--render"]
    done = cli(*words, tmp_path / "new" / "out.gif")
    assert done.code == 0, done.err
    assert "wrote" in done.out
    with image.open(tmp_path / "new" / "out.gif") as film:
        assert 2 <= film.n_frames <= 19
    found = ok(*words, tmp_path / "strip.png", "--render-episodes", 2)
    assert found["render"] == str(tmp_path / "strip.png")
    with image.open(tmp_path / "strip.png") as strip:
        assert strip.size[1] == 2 * (256 + 84)


def test_a_disturbance(run):
    words = ["rollout", run("regression"), *SHORT]
    row = ok(*words, "--perturb-at", 4)["rows"][0]
    assert row["recovery"]["disturbed"] == 3
    assert 0 <= row["recovery"]["low"] <= row["recovery"]["value"] <= row["recovery"]["high"]
    assert {one["perturbed_at"] for one in row["rollouts"]} == {4}
    done = cli(*words, "--perturb-at", 4)
    assert "recovered" in done.out
    done = cli(*words, "--perturb-at", 1000)
    assert done.code == 0
    assert "none was disturbed" in done.err
    assert ok(*words)["rows"][0]["recovery"] is None


def test_noise_on_what_is_seen_changes_energies(run):
    words = ["rollout", run("ebt"), *SHORT, "--steps", 2]
    usual, noisy, again = (ok(*words, *more) for more in ([], ["--noise", 0.5], ["--noise", 0.5]))
    assert (usual["noise"], noisy["noise"]) == (None, 0.5)

    def energies(found: dict) -> list[float]:
        return [plan["energy"] for one in found["rows"][0]["rollouts"] for plan in one["plans"]]

    assert energies(noisy) == energies(again)
    assert noisy["rows"][0]["energy"] != usual["rows"][0]["energy"]
    assert "more than 0" in cli(*words, "--noise", -1).err
    assert "no number" in cli(*words, "--noise", "much").err


def test_a_deadline(run):
    began = time.perf_counter()
    found = ok("rollout", run("ebt"), *SHORT, "--steps", 100_000, "--deadline-ms", 50)
    assert time.perf_counter() - began < 30  # so many steps take hours
    assert found["side_by_side"] == 1
    assert found["rows"][0]["steps"] == 100_000
    free = ok("rollout", run("ebt"), *SHORT, "--deadline-ms", 5)["rows"][0]
    assert free["steps"] is None  # as many as there is time for
    plans = [plan for one in found["rows"][0]["rollouts"] for plan in one["plans"]]
    assert all(1 <= plan["nfe"] < 100_000 for plan in plans)


def test_settings_of_plans_and_environment(run):
    found = ok("rollout", run("ebt"), "--episodes", 1, "--execute", 3, "--set", "max_steps=7")
    (one,) = found["rows"][0]["rollouts"]
    assert [plan["step"] for plan in one["plans"]] == [0, 3, 6]
    named = ok("rollout", run("ebt"), *SHORT, "--env", "point", "--which", "last")
    assert named["environment"] == "point"


def test_the_run_knows_its_environment_wherever_it_lies(run, tmp_path):
    shutil.copytree(run("regression"), tmp_path / "moved")
    assert ok("rollout", tmp_path / "moved", *SHORT)["environment"] == "point"
    (tmp_path / "moved" / "origin.json").unlink()
    assert "name it with --env" in refused("rollout", tmp_path / "moved", *SHORT)
    ok("rollout", tmp_path / "moved", *SHORT, "--env", "point")
    (tmp_path / "moved" / "origin.json").write_text("{}")
    assert "origin.json is damaged" in refused("rollout", tmp_path / "moved", *SHORT)


def test_a_loaded_policy_acts(run):
    from argmind.policy.environments import make

    policy = argmind.load(run("ebt"), device="cpu")
    world = make("point")
    observation, _ = world.reset(0)
    policy.reset()
    for _ in range(3):
        action = policy.act(observation, deadline_ms=1000)
        observation, *_ = world.step(action)
    assert action.shape == (2,)


# ------------------------------------------------------------------ what is refused


def test_bad_input(run, ebt, tmp_path):
    folder = run("ebt")
    for words, said in (
        (["--episodes", 0], "must be at least 1"),
        (["--seed", -1], "must be at least 0"),
        (["--steps", 0], "0 thinking steps"),
        (["--deadline-ms", 0], "must be more than 0"),
        (["--deadline-ms", "soon"], "is no number"),
        (["--perturb-at", -1], "must be at least 0"),
        (["--execute", 16], "has 1 to 15 to execute, not 16"),
        (["--env", "pont"], "Did you mean 'point'"),
        (["--set", "max_stps=3"], "Did you mean"),
        (["--set", "max_steps=0"], "at least 1"),
        (["--set", "pixels=true"], "has 'image', which the policy does not know"),
        (["--render", "out.avi"], "ends in .gif, .mp4, .png"),
        (["--render", "out.gif", "--steps", 1, 2], "--render shows one budget"),
        (["--rendr", "out.gif"], "Did you mean '--render'"),
    ):
        assert said in refused("rollout", folder, *words), words
    assert "which does not act" in refused("rollout", ebt)
    assert "there is no run folder" in refused("rollout", tmp_path / "none")
    assert not list(Path.cwd().glob("*"))


def test_a_damaged_normaliser(run, tmp_path):
    shutil.copytree(run("regression"), tmp_path / "moved")
    path = tmp_path / "moved" / "normaliser.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert "damaged" in refused("rollout", tmp_path / "moved", *SHORT)
    path.unlink()
    assert "has no normaliser.safetensors" in refused("rollout", tmp_path / "moved", *SHORT)


def test_other_verbs_say_what_a_policy_is_for(run):
    for verb in ("eval", "generate", "denoise"):
        extra = {"generate": ["--prompt", "x"], "denoise": ["--held-out", 1]}.get(verb, [])
        assert "demonstrations" in refused(verb, run("regression"), *extra)


def test_in_a_process_of_its_own(run, tmp_path):
    done = process("rollout", run("regression"), *SHORT, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["episodes"] == 3
    assert done.err == ""
