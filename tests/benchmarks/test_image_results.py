"""``benchmarks/image_results.py`` from training to figures, in sizes that take seconds."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from argmind.eval.results import read_results

TINY = shlex.split(
    "--data digits --seeds 1 --steps 2 --batch-size 8 --layers 2 --heads 2 --dim 32 --images 8 "
    "--probe-images 40 20 --samples 12 --feature-steps 11 --feature-width 2"
)
#: Every one of these must be there, by these names.
FIGURES = [
    *(f"psnr_{level}_{model}" for level in ("id", "ood") for model in ("ebt", "dit", "regression")),
    *("nfe_ebt", "nfe_dit", "probe_ebt", "probe_dit", "probe_supervised"),
    *("thinking_4x_gain_db_ood", "self_verification_8_gain_db_ood", "nfe_ratio"),
    *(f"psnr_ood_{model}_by_step" for model in ("ebt", "dit_ddim", "dit_ddpm")),
    *(f"ebt_minus_{model}_equal_time_db_id" for model in ("dit", "regression")),
    *("generate_ebt_distance_by_nfe", "generate_dit_distance_by_nfe", "ms_per_image_ebt"),
]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, argparse.Namespace]:
    pytest.importorskip("sklearn", reason="digits come from scikit-learn")
    import image_measures
    import image_results

    monkeypatch.setattr(image_results, "_PACE_S", 0.05)
    monkeypatch.setattr(image_measures, "NFE", (1, 2))
    monkeypatch.setattr(image_measures, "DIFFUSION_STEPS", {"ddim": (1, 2), "ddpm": (2,)})
    words = ["image_results.py", *TINY, "--out", str(tmp_path / "image.json")]
    monkeypatch.setattr(sys, "argv", words)
    return image_results, image_results._arguments()


def test_every_job_is_done_and_the_figures_have_their_names(
    script: tuple[Any, argparse.Namespace],
) -> None:
    image_results, arguments = script
    jobs = image_results.chosen_jobs(arguments)
    keys = [job.key for job in jobs]
    assert all(set(job.after) <= set(keys) for job in jobs)
    order = sorted(jobs, key=lambda job: len(job.after))
    kept = arguments.out.with_suffix(".runs")
    for job in order:
        row = {"job": job.name, "seed": job.seed, **image_results.work(job.name, 0, arguments)}
        with kept.open("a") as file:
            file.write(json.dumps(row) + "\n")
    image_results.main()  # nothing is left to be done
    results = read_results(arguments.out)
    assert [name for name in FIGURES if name not in results.figures] == []
    figure = {name: found.value for name, found in results.figures.items()}
    assert figure["nfe_ebt"] == 2
    assert figure["nfe_ratio"] == 2 / figure["nfe_dit"]
    rows = {row["job"]: row for row in results.extra["runs"]}
    sizes = [row["parameters"] for row in rows.values() if "parameters" in row]
    assert max(sizes) <= 1.04 * min(sizes)
    assert rows["denoise_dit"]["samples"] == rows["denoise_ebt"]["samples"] == 16
    timed = rows["denoise_regression_equal_time"]
    assert timed["aimed_at_s"] == rows["denoise_ebt"]["training_s"]
    pictures = sorted(path.name for path in (arguments.out.parent / "images").iterdir())
    assert "image_denoise_ebt_ood.png" in pictures
    assert "image_generate_dit.png" in pictures


def test_a_regression_asked_again_sees_its_own_answer() -> None:
    from argmind.predictors.base import Prediction
    from argmind.thinking.budget import Budget
    from image_measures import Reapplied

    class Halving:
        def predict(self, problem: Any, *_: Any) -> Prediction:
            one, half = torch.ones(1, dtype=torch.long), problem["given"] / 2
            return Prediction(half, half, half, one - 1, one, one == 0)

    asked = Reapplied(Halving())  # type: ignore[arg-type]
    found = asked.predict({"given": torch.tensor([8.0])}, Budget(steps=3), None)
    assert found.output.item() == 1.0
    assert found.nfe.item() == 3


@pytest.mark.parametrize("nfe", [1, 2, 4])
def test_few_steps_of_generation_lead_from_noise_to_data(nfe: int) -> None:
    """On a slope λ (ε − x) that does not level off, with the rule's momentum."""
    from types import SimpleNamespace

    from image_measures import set_size

    rule, schedule = SimpleNamespace(momentum=0.3), SimpleNamespace(size=0.015)
    thinker = SimpleNamespace(
        config=SimpleNamespace(rule=rule, schedule=SimpleNamespace(size=0.015)), schedule=schedule
    )
    set_size(SimpleNamespace(thinker=thinker), nfe)
    way, speed = 0.0, 0.0
    for _ in range(nfe):
        speed = rule.momentum * speed + schedule.size * 4.0
        way += speed
    assert way == pytest.approx(1.0)


def test_the_best_point_of_a_diffusion_model_is_the_cheapest_of_equals() -> None:
    from image_figures import figures

    points = [
        {"steps": steps, "value": value, "ms_per_image": 1.0}
        for steps, value in ((1, 20.0), (2, 21.0), (4, 21.0), (10, 19.0))
    ]
    level = {"psnr": {"ddim": points, "ddpm": points[:1]}, "psnr_given": 10.0}
    row = {
        "job": "denoise_dit",
        "seed": 0,
        "levels": {"id": level, "ood": level},
        "trained_noise_std": [0.01, 150.0],
        "probe": {"accuracy": 0.1},
    }
    rows = {"denoise_dit": [row], "classifier": [{"probe": {"accuracy": 0.9}}]}
    named = {name: measured for name, measured, _ in figures(rows)}
    assert named["nfe_dit"] == 2
    assert named["psnr_id_dit"].value == 21.0


@pytest.mark.parametrize(("probe", "ratio"), [(0.7, 4.0), (0.9, None)])
def test_gaps_to_a_supervised_probe(probe: float, ratio: float | None) -> None:
    from image_figures import figures

    def row(accuracy: float, series: str) -> dict[str, Any]:
        points = [{"steps": 2, "value": 20.0, "ms_per_image": 1.0}]
        gains = (
            "thinking_4x_gain_db",
            "self_verification_gain_db",
            "energy_error_rank_correlation",
        )
        level = {"psnr": {series: points}, "psnr_given": 1.0, **dict.fromkeys(gains, 0.0)}
        levels = {"id": level, "ood": level}
        known = {"seed": 0, "levels": levels, "trained_steps": 2, "trained_noise_std": [0, 1]}
        return {**known, "probe": {"accuracy": accuracy}}

    rows = {
        "denoise_ebt": [row(probe, "thinking")],
        "denoise_dit": [row(0.1, "ddim")],
        "classifier": [{"probe": {"accuracy": 0.9}}],
    }
    named = {name: measured for name, measured, _ in figures(rows)}
    assert named["nfe_ratio"] == 1.0
    assert named.get("probe_gap_ratio") == (ratio and pytest.approx(ratio))
