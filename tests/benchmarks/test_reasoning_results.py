"""The script on reasoning: problems made once, every model trained and measured, its figures."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from argmind.errors import UserError

SIZES = (
    "--seeds 1 --steps 2 --batch-size 4 --pool 64 --problems 12 --layers 1 --heads 2 --dim 16 "
    "--tasks sorting inverse"
)


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import reasoning_results

    monkeypatch.setenv("ARGMIND_CACHE", str(tmp_path / "cache"))
    words = [*shlex.split(SIZES), "--out", str(tmp_path / "r.json")]
    monkeypatch.setattr(sys, "argv", ["reasoning_results.py", *words])
    return reasoning_results._arguments()


def test_jobs_are_models_times_tasks_times_seeds(arguments: Any) -> None:
    from reasoning_results import chosen_jobs
    from reasoning_tasks import MODELS

    jobs = chosen_jobs(arguments)
    assert len(jobs) == 2 * (len(MODELS) - 2)  # neither is written as text, or a puzzle
    arguments.tasks, arguments.variants = ["dyck", "sudoku"], True
    names = [job.name for job in chosen_jobs(arguments)]
    assert "dyck_tpp" in names
    assert "sudoku_ebt_euclidean" in names
    assert "sudoku_recursive" in names
    assert "sudoku_tpp" not in names
    assert {job.name for job in jobs} >= {"sorting_ebt", "inverse_ired"}


@pytest.mark.usefixtures("arguments")
def test_problems_of_a_pool_are_those_of_the_data() -> None:
    from reasoning_pool import Pooled, make_pools
    from reasoning_tasks import TASKS

    config = TASKS["sorting"].data(12)
    make_pools({"sorting": config}, 64)
    pooled = Pooled(config.build(seed=3), 64)
    made = pooled.data.problems.sample("train", np.arange(64), 0)
    batch = pooled.batch(0, 64)  # an epoch: every one of them, in the order of this seed
    assert batch["target"].dtype == torch.int64
    order = np.lexsort(batch["target"].numpy().T)
    expected = np.lexsort(made["target"].T)
    assert np.array_equal(batch["target"].numpy()[order], made["target"][expected])
    assert not torch.equal(batch["target"], torch.from_numpy(made["target"]))
    together = pooled.batch(10, 6)
    assert torch.equal(together["given"], batch["given"][10:16])
    for split in ("easy", "hard"):
        for size in (5, 12):
            own = torch.cat([b["given"] for b in pooled.data.evaluation(12, None, split)])
            asked = torch.cat([b["given"] for b in pooled.evaluation(size, None, split)])
            assert torch.equal(own, asked)
    assert sum(len(b["known"]) for b in pooled.evaluation(4, 6)) == 6


@pytest.mark.parametrize("task", ["sorting", "inverse"])
def test_models_are_of_equal_size(task: str, arguments: Any) -> None:
    from argmind.quickstart.parameters import count_parameters
    from reasoning_tasks import MODELS, TASKS, equal_recipe

    arguments.dim, arguments.heads, arguments.layers = 96, 4, 3
    inputs = TASKS[task].data(12).build(seed=0).model_inputs
    counts = {
        model: count_parameters(equal_recipe(f"{task}_{model}", 0, arguments, inputs), inputs)
        for model in MODELS
        if model != "tpp"
    }
    assert max(counts.values()) < 1.02 * min(counts.values())


def test_what_is_measured_and_told(arguments: Any) -> None:
    from reasoning_results import figures, work

    names = ("sorting_ebt", "sorting_onepass", "sorting_loop", "inverse_ebt", "inverse_diffusion")
    rows = {name: [{"seed": 0, **work(name, 0, arguments)}] for name in names}
    named = {name: measured for name, measured, _ in figures(rows)}
    units = {name: unit for name, _, unit in figures(rows)}
    own = rows["sorting_ebt"][0]
    assert own["trained_steps"] == 4
    assert [own["splits"]["hard"][name]["steps"] for name in ("T", "2T", "4T", "8T")] == [
        *(4, 8, 16, 32)
    ]
    assert own["splits"]["hard"]["4T_best_of_8"]["nfe"] == 8 * 16
    assert named["sorting_hard_ebt"] == named["sorting_hard_ebt_4T"]
    loop = [named[f"sorting_hard_loop_{name}"].value for name in ("T", "2T", "4T", "8T")]
    assert named["sorting_hard_loop"].value == max(loop)
    assert 0 < named["sorting_ebt_adaptive_nfe_ratio"].value <= 1
    assert units["inverse_id_ebt"] == "mean squared error"
    assert named["inverse_id_ebt"].value > 0
    assert "sorting_hard_onepass_T_best_of_8" not in named
    assert "tasks_where_ebt_is_best_on_hard" in named


def test_training_for_a_time_takes_the_steps_of_its_pace(
    arguments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import reasoning_results
    from reasoning_results import chosen_jobs, work

    monkeypatch.setattr(reasoning_results, "_PACED_S", 0.05)
    arguments.steps, arguments.tasks, arguments.models = None, ["sorting"], ["onepass", "loop"]
    arguments.seconds, arguments.variants = 0.2, True
    jobs = chosen_jobs(arguments)
    assert jobs[0].name == "sorting_paces"  # it has no variants
    assert all(job.after == (jobs[0].key,) for job in jobs[1:])
    measured = {"job": "sorting_paces", "seed": 0, **work("sorting_paces", 0, arguments)}
    assert set(measured["paces_s"]) == {"sorting_onepass", "sorting_loop"}
    arguments.out.with_suffix(".runs").write_text(json.dumps(measured) + "\n")
    row, pace_s = work("sorting_onepass", 0, arguments), measured["paces_s"]["sorting_onepass"]
    assert row["steps"] == max(1, round(0.2 / pace_s))
    assert row["training_s"] == pytest.approx(row["steps"] * pace_s)
    assert list(reasoning_results.figures({"sorting_paces": [measured]})) == []
    with pytest.raises(UserError, match=r"no pace of sorting_ebt.*Remove the rows"):
        work("sorting_ebt", 0, arguments)


def test_a_model_whose_pace_cannot_be_measured_keeps_no_other_from_training(
    arguments: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import reasoning_results

    monkeypatch.setattr(reasoning_results, "_PACED_S", 0.05)
    arguments.steps = None
    found = dict(reasoning_results.paces(["sorting_nothing", "sorting_onepass"], arguments))
    assert set(found) == {"sorting_onepass"}
    assert "nothing" in capsys.readouterr().err


def test_a_model_that_writes_its_answers(arguments: Any) -> None:
    from reasoning_results import figures, work
    from reasoning_text import likeliest, most_frequent

    row = {"seed": 0, **work("dyck_tpp", 0, arguments)}
    assert set(row["splits"]) == {"easy", "hard", "harder"}
    assert row["splits"]["hard"]["T"]["problems"] == 12
    named = {name: measured for name, measured, _ in figures({"dyck_tpp": [row]})}
    assert 0 <= named["dyck_hard_tpp_majority_of_8"].value <= 1
    assert named["dyck_hard_tpp"].value >= named["dyck_hard_tpp_likeliest_of_8"].value
    answers = [("a", -3.0), ("b", -1.0), ("a", -3.0)]
    assert (most_frequent(answers), likeliest(answers)) == ("a", "b")


def test_who_is_best_on_hard_problems() -> None:
    from reasoning_figures import figures

    def row(values: dict[str, float], key: str) -> list[dict[str, Any]]:
        budgets = {
            name: {key: value, "nfe": 1.0, "loss": value, "solved": value}
            for name, value in values.items()
        }
        costs = dict.fromkeys(
            ("parameters", "steps", "training_s", "training_flops", "data_made_s"), 1.0
        )
        return [{"seed": 0, "splits": {"easy": budgets, "hard": budgets}, **costs}]

    rows = {
        "dyck_ebt": row({"T": 0.5, "4T": 0.7}, "solved"),
        "dyck_loop": row({"T": 0.6, "4T": 0.2}, "solved"),
        "inverse_ebt": row({"T": 0.1, "4T": 0.3}, "loss"),
        "inverse_loop": row({"T": 0.2, "4T": float("nan")}, "loss"),
    }
    named = {name: measured for name, measured, _ in figures(rows)}
    assert named["dyck_hard_loop"].value == 0.6  # the best that it can do
    assert named["inverse_hard_loop"].value == 0.2
    assert named["tasks_where_ebt_is_best_on_hard"] == 1.0


def test_the_stop_is_chosen_on_problems_that_are_not_told() -> None:
    from reasoning_measures import _joined

    parts = {"a": np.arange(5), "b": np.arange(10, 14)}
    assert _joined(parts, chosen=True).tolist() == [0, 2, 4, 10, 12]
    assert _joined(parts).tolist() == [1, 3, 11, 13]


def test_figures_of_the_ablation_on_text_join_the_others(tmp_path: Path) -> None:
    from argmind.eval.results import Figure, Results, write_results
    from reasoning_results import with_ablation

    out = tmp_path / "reasoning.json"
    assert list(with_ablation({}, out)) == []
    names = ["text_think_gain_percent", "text_nats_1T", "dyck_think_gain_percent"]
    found = {name: Figure(value=1.5, low=1.0, high=2.0, unit="%") for name in names}
    results = Results(command="c", commit="d", machine={"cpu": "one"}, seeds=(0,), figures=found)
    write_results(tmp_path / "system2.json", results)
    [(name, figure, unit)] = with_ablation({}, out)
    assert (name, figure.value, unit) == ("text_think_gain_percent", 1.5, "%")
