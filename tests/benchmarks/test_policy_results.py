"""``benchmarks/policy_results.py``: its jobs, its figures, and the way from training to them."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argmind.eval.results import read_results

TINY = shlex.split(
    "--tasks point --seeds 1 --steps 2 --points 2 --batch-size 4 --layers 1 --heads 2 --dim 16 "
    "--episodes 4 --curve-episodes 2 --samples 2 "
    "--ways ebt_1 ebt_2 ebt_20 ddpm_100 ddim_2 bc"
)


def parsed(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    import policy_results

    monkeypatch.setattr(sys, "argv", ["policy_results.py", *words])
    return policy_results._arguments()


# ------------------------------------------------------------------ jobs and figures


def test_jobs_are_all_models_on_all_tasks_and_time_is_measured_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import policy_results

    words = ("--tasks", "point", "metaworld-pick-place", "--seeds", "2")
    jobs = policy_results.chosen_jobs(parsed(monkeypatch, *words))
    names = [job.name for job in jobs]
    assert names[0] == "point_ebt"
    assert names.count("metaworld-pick-place_diffusion") == 2
    assert len(names) == 2 * 3 * 2 + 1
    assert jobs[-1].name == "timing"
    assert set(jobs[-1].after) == {job.key for job in jobs[:-1]}


def test_training_alone_keeps_its_findings_with_its_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = parsed(monkeypatch, "--train-only", str(tmp_path))
    assert arguments.out == tmp_path / "training.json"
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--train-only", "a", "--rollouts-only", "b")


def test_long_models_are_the_rival_with_so_many_times_the_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from policy_tasks import DIFFUSION, chosen_recipe, with_steps

    arguments = parsed(monkeypatch, *TINY, "--steps", "30", "--longer", "2.5")
    plain = chosen_recipe("point", DIFFUSION, 0, arguments)
    assert chosen_recipe("point", "diffusion-long", 0, arguments) == plain
    assert with_steps(plain, None, arguments, 1).training.steps == 30
    assert with_steps(plain, None, arguments, arguments.longer).training.steps == 75


def way(success: list[int], routes: str = "", scores: list[float] | None = None) -> dict[str, Any]:
    return {
        "success": success,
        "scores": scores or [float(one) for one in success],
        "routes": [{"l": "left", "r": "right"}.get(one, "") for one in routes.ljust(len(success))],
    }


def row(seed: int, ways: dict[str, Any], **more: Any) -> dict[str, Any]:
    cost = {"parameters": 10, "samples": 64, "samples_per_epoch": 32}
    rest = {"training_flops": 1.0, "training_s": 2.0, "by_training": []}
    return {"seed": seed, "ways": ways, **cost, **rest, **more}


def named(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    from policy_figures import figures

    return {name: measured for name, measured, _ in figures(rows)}


def test_success_coverage_and_routes_have_the_agreed_names() -> None:
    rows = {
        "pusht_ebt": [row(0, {"ebt_2": way([1, 0], scores=[0.98, 0.5])})],
        "pusht_diffusion": [row(0, {"ddpm_100": way([0, 0], scores=[0.9, 0.5])})],
        "pusht_diffusion-long": [row(0, {"ddpm_100": way([1, 0], scores=[1.0, 0.5])})],
        "metaworld-pick-place_ebt": [row(s, {"ebt_2": way([1, s])}) for s in (0, 1)],
        "pointmaze_regression": [row(0, {"bc": way([1, 1, 1, 0], "lrr")})],
        "pusht_published": [row(0, {"ebt_2": way([0, 0], scores=[0.1, 0.1])})],
    }
    found = named(rows)
    assert found["pusht_coverage_published_ebt_2"].value == pytest.approx(0.1)
    assert found["pusht_published_training_s"].value == 2.0
    assert found["pusht_success_ebt_2"].value == 0.5
    assert found["pusht_coverage_ebt_2"].value == pytest.approx(0.74)
    assert found["pusht_coverage_ebt_2_minus_ddpm_100"].value == pytest.approx(0.04)
    assert found["pusht_success_ebt_2_minus_ddpm_100"].value == 0.5
    assert found["pusht_success_ddpm_100_long"].value == 0.5
    assert found["pusht_coverage_ebt_2_minus_ddpm_100_long"].value == pytest.approx(-0.01)
    assert found["pusht_dp_long_epochs"] == 2.0
    assert found["metaworld_pick_place_ebt_2"][:3] == (0.75, 0.5, 1.0)
    assert found["pointmaze_left_share_bc"].value == pytest.approx(1 / 3)
    assert found["pointmaze_success_bc"].value == 0.75
    assert found["pusht_ebt_epochs"] == 2.0
    assert "metaworld_pick_place_left_share_ebt_2" not in found


def test_the_share_of_routes_is_over_seeds_that_took_any() -> None:
    rows = {
        "pointmaze_ebt": [
            row(0, {"ebt_2": way([1, 1], "lr"), "ebt_1": way([0, 0])}),
            row(1, {"ebt_2": way([0, 0]), "ebt_1": way([0, 0])}),
        ]
    }
    found = named(rows)
    assert found["pointmaze_left_share_ebt_2"].value == 0.5
    assert math.isnan(found["pointmaze_left_share_ebt_1"].value)


def test_differences_pair_episodes_of_seeds_that_both_have() -> None:
    rows = {
        "point_ebt": [row(1, {"ebt_2": way([1, 1])}), row(2, {"ebt_2": way([0, 0])})],
        "point_diffusion": [row(1, {"ddpm_100": way([0, 1])})],
    }
    found = named(rows)
    assert found["point_success_ebt_2_minus_ddpm_100"].value == 0.5


def test_time_to_equal_success_is_read_off_the_curves() -> None:
    def curve(*points: tuple[float, float]) -> list[dict[str, float]]:
        return [{"training_s": s, "success": y, "score": y, "step": 1} for s, y in points]

    rows = {
        "point_ebt": [row(0, {}, by_training=curve((10, 0.4), (20, 0.8)))],
        "point_diffusion": [row(0, {}, by_training=curve((5, 0.0), (9, 0.6)))],
    }
    found = named(rows)
    assert found["point_equal_success"] == 0.6
    assert found["point_seconds_to_equal_success_ebt"] == pytest.approx(15)
    assert found["point_seconds_to_equal_success_dp"] == pytest.approx(9)
    assert [one.value for one in found["point_ebt_success_by_training"]] == [0.4, 0.8]


def test_where_one_never_succeeds_there_is_nothing_to_reach_and_push_t_has_its_coverage() -> None:
    def curve(success: float) -> list[dict[str, float]]:
        return [{"training_s": 8.0, "success": success, "score": 0.5, "step": 1}]

    def rows_of(task: str) -> dict[str, list[dict[str, Any]]]:
        return {
            f"{task}_ebt": [row(0, {}, by_training=curve(0.4))],
            f"{task}_diffusion": [row(0, {}, by_training=curve(0.0))],
        }

    assert not [name for name in named(rows_of("point")) if "equal_success" in name]
    found = named(rows_of("pusht"))
    assert found["pusht_equal_coverage"] == 0.5
    assert found["pusht_seconds_to_equal_coverage_ebt"] == pytest.approx(8)


def test_a_level_that_is_never_reached_has_no_time() -> None:
    from policy_figures import left_share, reached

    curve = np.array([[0, 0], [1, 0.5], [3, 0.3], [4, 0.9]])
    assert reached(curve, 0.25) == 0.5
    assert reached(curve, 0.6) == pytest.approx(3.5)
    assert reached(curve, 0.0) == 0.0
    assert math.isnan(reached(curve, 0.95))
    assert math.isnan(left_share(["", ""]))


def test_gauges_are_means_over_tasks_and_time_has_its_device() -> None:
    def gauge(auroc: float, rate: float) -> dict[str, Any]:
        return {"noise": {"auroc": auroc}, "recovery": {"rate": [rate, 0.0, 1.0]}}

    rows = {
        "point_ebt": [row(0, {}, gauge=gauge(0.8, 0.5)), row(1, {}, gauge=gauge(0.6, 0.7))],
        "pusht_ebt": [row(0, {}, gauge=gauge(0.9, 1.0))],
        "pusht_diffusion": [row(0, {}, gauge={"noise": {"auroc": None}})],
        "timing": [{"seed": 0, "ms": {"cpu": {"ebt_2": 3.0}, "cuda": {"ebt_2": 0.5}}}],
    }
    found = named(rows)
    assert found["point_ood_auroc_ebt"].value == pytest.approx(0.7)
    assert found["ood_auroc_ebt"][:3] == pytest.approx((0.8, 0.7, 0.9))
    assert found["recovery_ebt"].value == pytest.approx(0.8)
    assert "ood_auroc_dp" not in found
    assert found["time_per_action_ms_ebt_2"] == 3.0
    assert found["time_per_action_gpu_ms_ebt_2"] == 0.5


# ------------------------------------------------------------------ from training to figures


def carried_out(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    """All jobs of a command line, here rather than in processes of their own, and its results."""
    import jobs
    import policy_results

    def here(job: Any, *_: Any) -> dict[str, Any]:
        found = policy_results.work(job.name, job.seed, arguments)
        return {"job": job.name, "seed": job.seed, **json.loads(json.dumps(jobs._finite(found)))}

    arguments = parsed(monkeypatch, *TINY, *words)
    monkeypatch.setattr(jobs, "_process", here)
    policy_results.main()
    return arguments


def test_training_and_rollouts_apart_find_what_they_find_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="demonstrations are Parquet files")
    import policy_tasks

    small = policy_tasks.Task("point", "policy_point", 4, 8, settings={"max_steps": 64})
    monkeypatch.setitem(policy_tasks.TASKS, "point", small)
    runs, demos = tmp_path / "runs", ("--demos", str(tmp_path / "demos"))
    carried_out(monkeypatch, *demos, "--train-only", str(runs))
    training = read_results(runs / "training.json").figures
    assert training["point_ebt_training_s"].value > 0
    assert "point_success_ebt_2" not in training
    apart = carried_out(
        monkeypatch, "--rollouts-only", str(runs), "--out", str(tmp_path / "apart.json")
    )
    together = carried_out(monkeypatch, *demos, "--out", str(tmp_path / "together.json"))
    first, second = (read_results(one.out) for one in (apart, together))
    assert sorted(first.figures) == sorted(second.figures)
    for name in first.figures:
        if "success_" in name and "seconds" not in name:
            assert first.figures[name].value == second.figures[name].value
    for key in ("ebt_1", "ebt_20", "ddpm_100", "ddim_2", "bc"):
        assert 0 <= first.figures[f"point_success_{key}"].value <= 1
        assert first.figures[f"time_per_action_ms_{key}"].value > 0
    assert {"point_ood_auroc_ebt", "point_ood_auroc_dp", "point_recovery_bc"} <= set(first.figures)
    assert "point_ood_auroc_bc" not in first.figures
    rows = {row["job"]: row for row in first.extra["runs"]}
    sizes = [row["parameters"] for row in rows.values() if "parameters" in row]
    assert max(sizes) <= 1.05 * min(sizes)
    assert len(rows["point_ebt"]["by_training"]) == 2


def test_stored_runs_hold_weights_that_act_and_nothing_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="demonstrations are Parquet files")
    import torch

    import policy_runs
    from argmind.policy.policy import Policy
    from policy_tasks import prepare

    words = (*TINY, "--demos", str(tmp_path / "demos"), "--train-only", str(tmp_path / "runs"))
    arguments = parsed(monkeypatch, *words, "--set", "training.ema_decay=0.5")
    prepare(arguments)
    with policy_runs.trained_run("point_regression", 0, arguments) as (run, cost):
        trained = Policy.load(run, which="last")
        folder = policy_runs.stored_at(arguments.train_only, "point_regression", 0)
        stored = Policy.load(folder, which="last")
        for one, other in zip(
            trained.predictor.parameters(), stored.predictor.parameters(), strict=True
        ):
            assert torch.equal(one, other)
    names = {path.name for path in folder.rglob("*.safetensors")}
    assert names == {"model.safetensors", "normaliser.safetensors"}
    assert policy_runs.checkpoints(folder) == [1, 2]
    assert json.loads((folder / "cost.json").read_text()) == cost
    assert not list(folder.parent.glob("*.part"))
