"""What each verb does with a tiny run."""

import json
import re
import shutil
import sys
from io import StringIO

import pytest
import torch

import argmind
from argmind import registry
from argmind.cli import _screen
from argmind.text.generation import Sampling
from argmind.thinking.landscape import Landscape

from .conftest import TINY, cli, trained


def held_out_nats(run) -> float:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["nats"] for line in lines if line["split"] == "evaluation"][-1]


# ------------------------------------------------------------------ eval


def test_eval_measures_what_training_measured(ebt):
    found = cli("eval", ebt, "--limit", 6, "--which", "last", "--json").json
    (row,) = found["rows"]
    assert (found["step"], found["sequences"], found["tokens"]) == (10, 6, 192)
    assert row["nats_per_token"]["value"] == pytest.approx(held_out_nats(ebt), abs=1e-5)
    assert row["nats_per_token"]["low"] < row["nats_per_token"]["value"]
    assert (row["steps"], row["candidates"], row["nfe"]) == (2, 1, 2)


def test_eval_has_a_row_for_every_budget(ebt):
    words = ["eval", ebt, "--limit", 6, "--steps", 0, 3, "--candidates", 1, 2]
    rows = cli(*words, "--json").json["rows"]
    assert [(r["steps"], r["candidates"], r["nfe"]) for r in rows] == [
        *((0, 1, 0), (0, 2, 0)),
        *((3, 1, 3), (3, 2, 6)),
    ]
    shown = cli(*words).out
    assert all(head in shown for head in ("nats/token", "bits/byte", "NFE", "ms/token", "energy"))
    assert f"{rows[0]['nats_per_token']['value']:.4f}" in shown


def test_eval_may_stop_early(ebt):
    words = ["eval", ebt, "--limit", 6, "--steps", 4, "--json", "--stop", "plateau"]
    (row,) = cli(*words, "--tolerance", 1e9).json["rows"]
    assert row["mean_steps"] < 4
    (row,) = cli(*words, "--tolerance", 0).json["rows"]
    assert row["mean_steps"] == 4


def test_eval_of_a_model_that_does_not_think_has_one_row(rival):
    rows = cli("eval", rival, "--limit", 6, "--steps", 0, 1, 2, "--json").json["rows"]
    assert len(rows) == 1
    assert rows[0]["nats_per_token"]["value"] == pytest.approx(held_out_nats(rival), abs=1e-5)


def test_eval_on_other_text(ebt, tmp_path):
    (tmp_path / "other.txt").write_text("The quick brown fox. " * 50)
    found = cli("eval", ebt, "--data", "other.txt", "--limit", 3, "--json").json
    assert found["data"] == "other.txt"
    row = found["rows"][0]
    ratio = row["nats_per_token"]["value"] / row["bits_per_byte"]["value"]
    assert ratio == pytest.approx(0.6931, abs=1e-3)  # one byte a token


def test_eval_on_the_training_text_takes_what_was_held_out(ebt):
    given = cli("eval", ebt, "--data", "python", "--limit", 3, "--json").json
    assert given["data"] == "the held-out part of python"


def test_eval_of_a_run_trained_from_python_asks_for_text():
    texts = [f"number {i} of many short texts " * 20 for i in range(20)]
    argmind.fit(texts, out="run", settings=[*TINY, "training.steps=1"], silent=True)
    done = cli("eval", "run")
    assert done.code == 2
    assert "Name text to measure on with --data" in done.err


# ------------------------------------------------------------------ generate


def test_defaults_are_those_of_the_library(ebt):
    words = cli("generate", ebt, "--prompt", "The", "--json").json
    (one,) = argmind.load(ebt).generate("The", sampling=Sampling())
    assert words["continuations"][0]["tokens"] == one.tokens


def test_what_is_streamed_is_what_json_says(ebt):
    words = ["generate", ebt, "--prompt", "The", "--max-tokens", 12, "--seed", 3]
    said, shown = cli(*words, "--json").json, cli(*words)
    assert shown.out == f"The{said['continuations'][0]['text']}\n"
    assert re.search(r"tokens/s, mean energy -?[\d.]+, NFE 2.0 per token", shown.err)
    assert said["tokens"] == len(said["continuations"][0]["tokens"])


def test_a_prompt_does_not_notice_its_neighbours(ebt, tmp_path):
    (tmp_path / "prompts.txt").write_text("The\n\nA longer one: [bold]\n")
    words = ["generate", ebt, "--max-tokens", 6, "--json", "--steps", 1]
    both = cli(*words, "--prompt-file", "prompts.txt").json["continuations"]
    assert [one["prompt"] for one in both] == ["The", "A longer one: [bold]"]
    for one in both:
        alone = cli(*words, "--prompt", one["prompt"]).json["continuations"][0]
        assert alone["tokens"] == one["tokens"]
    shown = cli(*words[:4], "--prompt-file", "prompts.txt", "--steps", 1).out
    assert f"A longer one: [bold]{both[1]['text']}\n" in shown


def test_a_prompt_from_stdin(ebt, monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO("The\n"))
    done = cli("generate", ebt, "--prompt", "-", "--max-tokens", 2, "--json")
    assert done.json["continuations"][0]["prompt"] == "The"


def test_a_model_cannot_steer_a_terminal(ebt, monkeypatch):
    escape = torch.tensor(0x1B)
    monkeypatch.setattr(
        "argmind.text.generation.sample", lambda logits, *_: escape.expand(len(logits))
    )
    words = ["generate", ebt, "--prompt", "A", "--max-tokens", 2]
    assert cli(*words).out == "A\x1b\x1b\n"
    monkeypatch.setattr(_screen.Console, "is_terminal", True)
    assert "\ufffd\ufffd\n" in cli(*words).out


# ------------------------------------------------------------------ think


def test_think_shows_every_step_of_every_token(ebt, tmp_path):
    words = ["think", ebt, "--prompt", "The end", "--steps", 3]
    found = cli(*words, "--html", "page.html", "--json").json["tokens"]
    assert [one["token"] for one in found] == [*"he end", "…"]
    for one in found:
        assert len(one["steps"]) == 4  # the start included
        assert (one["steps_used"], one["nfe"]) == (3, 3)
        for step in one["steps"]:
            chances = [chance for _, chance in step["top"]]
            assert len(chances) == 5
            assert chances == sorted(chances, reverse=True)
    page = (tmp_path / "page.html").read_text()
    shown = cli(*words).out
    last = found[-1]["steps"][-1]
    assert f"{last['energy']:.3f}" in shown
    assert f"{last['energy']:.3f}".replace("-", "−") in page
    assert page.count('class="thought"') == len(found)


def test_think_about_the_last_tokens_only(ebt):
    words = ["think", ebt, "--prompt", "The end", "--json"]
    assert cli(*words, "--tokens", 2).json["tokens"] == cli(*words).json["tokens"][-2:]


def test_think_of_a_model_that_does_not_think(rival):
    found = cli("think", rival, "--prompt", "The", "--json").json["tokens"]
    assert [len(one["steps"]) for one in found] == [1, 1, 1]


# ------------------------------------------------------------------ compare


def test_compare_finds_no_difference_between_a_run_and_itself(ebt, tmp_path):
    shutil.copytree(ebt, tmp_path / "twin")
    found = cli("compare", ebt, tmp_path / "twin", "--limit", 6, "--json").json
    assert found["reference"] == str(ebt)
    assert found["notes"] == []
    assert found["equal_parameters"]["ratio"] == {str(tmp_path / "twin"): 1.0}
    for axis in ("data", "flops", "time"):
        equal = found[f"equal_{axis}"]
        assert equal["from"] == "measured"
        assert equal["difference"][str(tmp_path / "twin")] == {"value": 0, "low": 0, "high": 0}
        assert equal["verdict"][str(tmp_path / "twin")] == "no difference beyond the interval"


def test_compare_with_the_rival(ebt, rival):
    words = ["compare", rival, ebt, "--limit", 6, "--steps", 0, 2]
    found = cli(*words, "--json").json
    theirs, ours = found["runs"]
    assert [row["steps"] for row in ours["rows"]] == [0, 2]
    assert "difference" not in theirs["rows"][0]
    for row in ours["rows"]:
        gap = row["nats_per_token"]["value"] - theirs["rows"][0]["nats_per_token"]["value"]
        assert row["difference"]["value"] == pytest.approx(gap)
    assert theirs["tokens"] == ours["tokens"] == 10 * 4 * 32
    assert ours["training_flops"] > 3 * theirs["training_flops"]
    assert ours["training_seconds"] > 0
    assert found["equal_data"]["difference"][str(ebt)] == ours["rows"][1]["difference"]
    assert any("times the parameters" in note for note in found["notes"])
    # Every step of the thinker costs more than all of its rival's training.
    assert found["equal_flops"] == {"at": None}
    assert any("no FLOPs in common" in note for note in found["notes"])
    shown = cli(*words).out
    assert all(word in shown for word in ("equal", "FLOPs", "parameters", "verdict"))


def test_compare_different_tokenizers_in_bits_per_byte_only(ebt, by_pairs):
    words = ["compare", ebt, by_pairs, "--limit", 6]
    found = cli(*words, "--json").json
    assert found["comparable"] == "bits per byte"
    assert not any(key in found for key in ("equal_data", "equal_flops", "equal_time"))
    assert all("difference" not in row for one in found["runs"] for row in one["rows"])
    shown = cli(*words).out
    assert "bits/byte" in shown
    assert "nats/token" not in shown
    assert "the runs have different tokenizers" in shown


def test_compare_reads_other_costs_off_the_curves(ebt, runs):
    longer = trained(runs / "longer", "text_ebt", "--set", *TINY, "training.steps=15")
    equal = cli("compare", ebt, longer, "--limit", 6, "--json").json["equal_data"]
    assert (equal["at"], equal["from"]) == (10 * 4 * 32, "training curves")
    lines = [json.loads(line) for line in (longer / "metrics.jsonl").read_text().splitlines()]
    then = [x["nats"] for x in lines if x["split"] == "evaluation" and x["step"] == 10]
    assert equal["nats_per_token"][str(longer)] == pytest.approx(then[0])
    assert equal["verdict"][str(longer)] == "not decided (no interval)"


# ------------------------------------------------------------------ list, doctor


def test_list_counts_every_kind():
    counts = {row["kind"]: row["count"] for row in cli("list", "--json").json["entries"]}
    assert set(counts) == {*registry.kinds(), "size"}
    assert all(counts[kind] == len(registry.names(kind)) for kind in registry.kinds())


@pytest.mark.parametrize("kind", registry.kinds())
def test_list_summarises_every_part(kind):
    rows = cli("list", kind, "--json").json["entries"]
    assert [row[kind] for row in rows] == registry.names(kind)
    assert all(row["summary"] for row in rows)


def test_list_sizes():
    rows = cli("list", "size", "--json").json["entries"]
    assert rows[0] == {
        **{"size": "4xs", "num_layers": 2, "num_heads": 2, "hidden_dim": 128},
        "lr": 0.0024,
    }
    assert "num layers" in cli("list", "size").out


def test_doctor_is_content(tmp_path):
    found = cli("doctor", "--json").json
    assert found["ok"] is True
    assert found["versions"]["torch"] == torch.__version__
    assert all(test["relative_error"] < 1e-5 for test in found["second_order"].values())
    assert all(free > 0 for free in found["free_bytes"].values())
    assert not list(tmp_path.iterdir())
    shown = cli("doctor").out
    assert "second order reference: ok" in shown


def test_doctor_says_how_to_get_what_is_missing(monkeypatch):
    monkeypatch.setattr("argmind.cli.doctor._OPTIONAL", {"no-such-package": "extra"})
    assert "not installed: pip install 'argmind[extra]'" in cli("doctor").out


def test_doctor_finds_a_dropped_second_derivative(monkeypatch):
    slope = Landscape.slope

    def detached(self, y, step, graph):
        found = slope(self, y, step, graph)
        return found._replace(gradient=found.gradient.detach())

    monkeypatch.setattr(Landscape, "slope", detached)
    done = cli("doctor", "--json")
    assert done.code == 1
    assert done.json["second_order"]["reference"]["status"] == "FAILED"
    assert done.json["second_order"]["reference"]["relative_error"] > 1e-2


# ------------------------------------------------------------------ quickstart


def test_quickstart_calls_the_tour_of_its_domain(monkeypatch, tmp_path):
    registry.names("quickstart")
    asked = {}

    def tour(**options):
        asked.update(options)
        return {"figures": {}, "bad": float("nan")}

    monkeypatch.setitem(registry._parts, "quickstart", {"text": tour})
    done = cli("quickstart", "--minutes", 1.5, "--out", tmp_path / "q", "--seed", 4, "--json")
    assert done.json == {"figures": {}, "bad": None}
    assert asked == {"minutes": 1.5, "out": tmp_path / "q", "seed": 4, "silent": True}
