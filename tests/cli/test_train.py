"""Training from the command line: results, recipes from files, stopping, resuming, torchrun."""

import json
import shutil
import signal
import time

import pytest

from argmind.recipes.base import find_recipe

from .conftest import TINY, cli, process, start


def test_result_and_next_commands(tmp_path):
    done = cli("train", "text_ebt", "--steps", 2, "--set", *TINY)
    assert done.code == 0
    assert "finished 2 steps" in done.err
    assert "tokens/s" in done.err
    for verb in ("eval", "generate", "think"):
        assert f"argmind {verb} runs/text_ebt-1" in done.out
    again = cli("train", "text_ebt", "--steps", 2, "--set", *TINY, "--json")
    assert again.json["run"] == "runs/text_ebt-2"
    assert again.json["reason"] == "finished"
    described = json.loads((tmp_path / "runs/text_ebt-2/recipe.json").read_text())
    assert described["command"].startswith("argmind train text_ebt --steps 2")


def test_options_are_settings_and_set_has_the_last_word(tmp_path):
    (tmp_path / "records.jsonl").write_text('{"body": "some words to learn from"}\n' * 200)
    words = ["--data", "records.jsonl", "--field", "body", "--tokenizer", "bpe:270"]
    done = cli(
        *("train", "text_ebt", *words, "--seed", 7, "--size", "4xs", "--device", "cpu"),
        *("--out", "run", "--tensorboard", "--set", *TINY, "--set", "training.steps=1"),
    )
    assert done.code == 0, done.err
    recipe = json.loads((tmp_path / "run/recipe.json").read_text())["recipe"]
    assert recipe["data"]["source"] == "records.jsonl"
    assert (recipe["data"]["field"], recipe["data"]["tokenizer"]) == ("body", "bpe:270")
    assert (recipe["training"]["seed"], recipe["training"]["steps"]) == (7, 1)
    assert recipe["optimizer"]["lr"] == 2 * find_recipe("text_ebt").optimizer.lr  # of that size
    assert recipe["predictor"]["body"]["transformer"]["hidden_dim"] == 16  # set after the size
    assert list((tmp_path / "run/tensorboard").iterdir())


def test_a_recipe_file_and_the_recipe_of_a_run(ebt, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\n"
        "data: {context_tokens: 32, limit_tokens: 20000}\n"
        "thinking: {steps: 3}\n"
        "predictor: {body: {transformer: {num_layers: 1, num_heads: 1, hidden_dim: 8}}}\n"
        "training: {steps: 1, batch_size: 2, eval_limit: 2}\n"
    )
    assert cli("train", "mine.yaml", "--json").json["run"] == "runs/mine-1"
    recipe = json.loads((tmp_path / "runs/mine-1/recipe.json").read_text())["recipe"]
    assert (recipe["thinking"]["steps"], recipe["predictor"]["kind"]) == (3, "ebt")
    again = cli("train", ebt / "recipe.json", "--out", "again", "--json").json
    first = json.loads((ebt / "best.json").read_text())
    assert again["best"] == first  # the same seed, data and recipe


def test_stopped_by_a_signal_and_resumed(tmp_path):
    long = ["--set", *TINY, "training.eval_every=0"]
    child = start("train", "text_ebt", "--steps", 100_000, "--out", "run", *long, cwd=tmp_path)
    metrics, limit_s = tmp_path / "run/metrics.jsonl", time.monotonic() + 60
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < limit_s
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert "argmind train --resume run" in err
    assert "Traceback" not in err
    done = int(err.partition("stopped by a signal after step ")[2].split(",")[0])
    resumed = cli("train", "--resume", "run", "--steps", done + 2, "--json")
    assert resumed.json["steps"] == done + 2
    assert resumed.json["reason"] == "finished"


def test_two_processes_under_torchrun(tmp_path):
    words = ["--standalone", "--nproc-per-node", 2, "-m", "argmind", "train", "text_ebt"]
    done = process(*words, "--steps", 2, "--json", "--set", *TINY, cwd=tmp_path, module=TORCHRUN)
    assert done.code == 0, done.err
    assert done.json["run"] == "runs/text_ebt-1"  # one object, from one process
    assert done.err.count("finished 2 steps") == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["text_ebt-1"]
    assert cli("eval", "runs/text_ebt-1", "--limit", 2).code == 0


TORCHRUN = "torch.distributed.run"


@pytest.mark.parametrize("resumed_steps", [10, 12])
def test_resuming_a_finished_run(resumed_steps, ebt, tmp_path):
    shutil.copytree(ebt, tmp_path / "run")
    done = cli("train", "--resume", "run", "--steps", resumed_steps, "--json")
    assert done.json["steps"] == resumed_steps
