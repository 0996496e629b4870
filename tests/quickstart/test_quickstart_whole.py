"""One quickstart from end to end, and everything it leaves."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path

import pytest
import torch

import argmind
from argmind.cli._parser import parse
from argmind.eval.results import read_results
from argmind.report.markup import escape
from argmind.runs import read_recipe
from argmind.train.runfolder import RunFolder

BUDGETS = [(steps, candidates) for steps in (0, 1, 2, 4, 8) for candidates in (1, 4, 16)]


def state(run: Path) -> dict:
    return RunFolder(run).store.latest().state


def test_run_folder_holds_both_runs_results_and_report(toured):
    for run in (toured.run, toured.run / "transformer_pp"):
        for name in ("recipe.json", "metrics.jsonl", "timing.jsonl", "tokenizer.json"):
            assert (run / name).stat().st_size > 0
        assert argmind.load(run).predict("The for").output.isfinite().all()
    assert toured.run.name == "quickstart"
    assert (toured.run / "report.html").is_file()
    assert not [*toured.run.rglob("*.part"), *toured.run.rglob("*.tmp*")]


def test_both_have_equally_many_parameters(toured):
    ebt, rival = (argmind.load(run).run.parameters for run in runs(toured))
    assert abs(rival - ebt) <= 0.02 * ebt
    figures = read_results(toured.run / "results.json").figures
    assert (figures["ebt_parameters"].value, figures["tpp_parameters"].value) == (ebt, rival)


def test_both_saw_the_same_batches_equally_often(toured):
    first, second = (state(run) for run in runs(toured))
    for key in ("data_fingerprint", "step", "totals"):
        assert first[key] == second[key]
    recipes = [read_recipe(run)[0] for run in runs(toured)]
    ours, theirs = (recipe.training for recipe in recipes)
    assert ours.steps == first["step"]
    assert (ours.seed, ours.batch_size, ours.steps) == (3, theirs.batch_size, theirs.steps)
    assert recipes[0].optimizer == recipes[1].optimizer
    batches = [recipe.data.build(seed=recipe.training.seed).batch(0, 4) for recipe in recipes]
    assert torch.equal(batches[0]["tokens"], batches[1]["tokens"])


def test_results_are_complete_and_consistent(toured):
    results = read_results(toured.run / "results.json")
    figures = results.figures
    assert results.seeds == (3,)
    assert results.command == "argmind quickstart --domain text --minutes 0.02 --seed 3"
    assert results.machine["cores"]
    rows = {(row["steps"], row["candidates"]): row for row in results.extra["budgets"]}
    assert set(BUDGETS) <= set(rows)  # and the trained number of steps, where it is another
    by_step = [rows[steps, 1]["nats_per_token"] for steps in (0, 1, 2, 4, 8)]
    assert figures["ebt_nats_by_step"].value == tuple(row["value"] for row in by_step)
    assert figures["ebt_nats_by_step"].low == tuple(row["low"] for row in by_step)
    best = min(row["nats_per_token"]["value"] for row in rows.values())
    assert figures["ebt_nats_best"].value == best
    difference = best - figures["tpp_nats"].value
    assert math.isclose(figures["ebt_minus_tpp_best"].value, difference, abs_tol=1e-9)
    gain = (
        rows[results.extra["trained_steps"], 1]["nats_per_token"]["value"]
        - rows[0, 1]["nats_per_token"]["value"]
    )
    assert math.isclose(figures["ebt_trained_minus_start"].value, gain, abs_tol=1e-9)
    for (steps, candidates), row in rows.items():
        assert row["nfe"] == steps * candidates
    for name in ("ebt_energy", "ebt_entropy", "tpp_entropy"):
        assert -1 <= figures[f"{name}_loss_rank_correlation"].value <= 1
    assert 0 <= figures["plateau_steps_used"].value <= 8
    assert results.extra["held_out_sequences"] >= 8


def test_returned_summary_is_json_and_agrees_with_the_file(toured):
    plain = json.loads(json.dumps(toured.result, allow_nan=False))
    written = json.loads((toured.run / "results.json").read_text())
    assert written.items() <= plain.items()


def test_figures_agree_with_the_eval_machinery(toured):
    """`argmind eval` on the run's own held-out text repeats the table."""
    from argmind.eval.budgets import measure, with_bytes
    from argmind.thinking.budget import Budget

    loaded = argmind.load(toured.run, which="last")
    recipe = loaded.run.recipe
    data = recipe.data.build(seed=recipe.training.seed)
    extra = read_results(toured.run / "results.json").extra
    batches = list(data.evaluation(8, extra["held_out_sequences"]))
    rows = measure(loaded.predictor, batches, [Budget(steps=4, candidates=4)], seed=3)
    row = with_bytes(rows, data.evaluation_bytes_per_token)[0]
    told = next(r for r in extra["budgets"] if (r["steps"], r["candidates"]) == (4, 4))
    assert math.isclose(row.nats.value, told["nats_per_token"]["value"], rel_tol=1e-6)


def test_report_is_one_page_with_every_part(toured):
    page = (toured.run / "report.html").read_text()
    assert page.count("<svg") == 2 + 3 + 3  # learning, thinking, signs of doubt
    for part in ("What thinking bought", "Learning", "A passage", "Sampled continuations"):
        assert f"<h2>{part}</h2>" in page
    assert "http" not in page
    assert "src=" not in page
    shown = re.findall(r'<div class="sample">(.*?)</div>', page, flags=re.S)
    texts = [re.sub("</?b>", "", sample) for sample in shown]
    assert texts == [escape(s, breaks=True) for s in toured.result["samples"].values()]


def test_terminal_shows_every_budget_and_what_it_means(toured):
    for steps, candidates in BUDGETS:
        line = next(
            line for line in toured.out.splitlines() if f"EBT {steps} × {candidates} " in line
        )
        assert len(re.findall(r"\(\S+…\S+\)", line)) == 3  # nats, bits, difference: with intervals
    assert "Transformer++ reached" in toured.out
    assert "Equal data is not equal compute" in toured.out
    assert "tokens/s" in toured.err
    assert "tokens/s" not in toured.out


def test_ends_with_three_commands_that_exist(toured):
    commands = toured.result["next_commands"]
    assert [line.strip() for line in toured.out.splitlines()[-3:]] == commands
    assert [shlex.split(command)[1] for command in commands] == ["generate", "think", "train"]
    for command in commands:
        assert parse(shlex.split(command)[1:]) is not None
    assert all("runs/quickstart" in command for command in commands[:2])


@pytest.mark.parametrize("which", ["ebt", "tpp"])
def test_training_costs_are_told(toured, which):
    figures = read_results(toured.run / "results.json").figures
    assert figures[f"{which}_training_s"].value > 0
    assert figures[f"{which}_training_flops"].value > 1e6


def runs(toured) -> tuple[Path, Path]:
    return toured.run, toured.run / "transformer_pp"
