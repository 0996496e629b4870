"""Figures of the text and video scripts, and one video job from training to measures."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def test_figures_of_text_pair_seeds() -> None:
    from text_results import figures

    def row(seed: int, nats: dict[str, float], trained: int) -> dict[str, Any]:
        costs = {"parameters": 10, "training_flops": 1.0, "training_s": 2.0}
        return {"seed": seed, "nats": nats, "trained_steps": trained, **costs}

    by_step = {str(steps): 4.0 - 0.1 * steps for steps in range(9)}
    rows = {
        "text_ebt": [row(0, by_step, 2), row(1, by_step, 2)],
        "text_transformer_pp": [row(1, {"0": 4.0}, 0)],
    }
    named = {name: measured for name, measured, _ in figures(rows)}
    assert named["ebt_minus_tpp_nats"].value == pytest.approx(-0.2)
    assert named["ebt_nats_best"].value == pytest.approx(3.2)
    assert named["tpp_nats"].value == 4.0


def _video_arguments(out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Any:
    """Of a job that takes seconds."""
    import video_results

    words = shlex.split(
        "--seeds 1 --steps 2 --batch-size 2 --layers 1 --heads 2 --dim 32 --clips 2 --given 2 "
        "--rolled 3"
    )
    settings = ["data.image_size=8", "data.frames=9", "data.clips=8", *more]
    line = ["video_results.py", *words, "--out", str(out), "--set", *settings]
    monkeypatch.setattr(sys, "argv", line)
    return video_results._arguments()


@pytest.mark.parametrize("model", ["ebt", "nearest_ebt", "diffusion"])
def test_a_video_job_measures_what_the_figures_tell(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="digits come from scikit-learn")
    import video_results

    arguments = _video_arguments(tmp_path / "v.json", monkeypatch)
    rows = {}
    for scene in video_results.SCENES:
        found = video_results.work(f"{scene}_{model}", 0, arguments)
        rows[f"{scene}_{model}"] = [{"seed": 0, **found}]
    named = {name: measured for name, measured, _ in video_results.figures(rows)}
    short = video_results.SHORT.get(model, model)
    assert len(named[f"digits_{short}_errors_by_horizon"]) == 3
    assert named[f"turning_{short}_best_of_8_error"].value > 0
    assert named[f"turning_{short}_random_frame_error"].value > 0
    assert ("next_frame_error_ebt" in named) == (model == "ebt")
    assert (tmp_path / "images" / f"v_turning_{model}.png").exists()
    with Image.open(tmp_path / "images" / f"v_turning_{model}_energies.png") as heat:
        assert heat.size == (8 * 7, 8 * 2)  # 9 frames: 8 to predict from, without the first
    assert ("energy_random_auroc" in named) == (model == "ebt")


def test_a_world_that_is_acted_on_is_measured_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gym_pusht", reason="Push-T needs the extra 'policy'")
    import video_results

    monkeypatch.setenv("ARGMIND_CACHE", str(tmp_path))
    arguments = _video_arguments(tmp_path / "v.json", monkeypatch, "data.eval_clips=8")
    tpp = "transformer_pp"
    rows = {
        f"{scene}_{tpp}": [{"seed": 0, **video_results.work(f"{scene}_{tpp}", 0, arguments)}]
        for scene in video_results.WORLDS
    }
    named = {name: measured for name, measured, _ in video_results.figures(rows)}
    assert len(named["pusht_tpp_errors_by_horizon"]) == 3
    assert named["shaky_tpp_random_frame_error"].value > 0


def test_a_video_gain_pairs_seeds() -> None:
    from video_results import figures

    def row(seed: int, error: float) -> dict[str, Any]:
        return {"seed": seed, "next_frame_error": error}

    ours, theirs = [row(0, 0.5), row(1, 0.3)], [row(1, 0.2), row(2, 9.0)]
    rows = {"turning_ebt": ours, "turning_transformer_pp": theirs}
    named = {name: measured for name, measured, _ in figures(rows)}
    assert named["turning_ebt_minus_tpp"].value == pytest.approx(0.1)
