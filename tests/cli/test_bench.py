"""``argmind bench`` as a user runs it, on a CPU."""

import json

import pytest

from .conftest import cli, process

TINY = ["--size", "4xs", "--context", "8", "--batch", "2", "--vocab", "60", "--repeats", "3"]
GIVEN = ["--peak-tflops", "1", "--bandwidth-gbs", "10", "--device", "cpu"]
WORDS = ["bench", *TINY, "--new-tokens", "4", *GIVEN]


def test_both_models_training_and_decoding(tmp_path):
    done = process(*WORDS, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    rows = found["rows"]
    assert [(row["what"], row["model"]) for row in rows] == [
        ("train", "text_ebt"),
        ("train", "text_transformer_pp"),
        ("decode", "text_ebt"),
        ("decode", "text_transformer_pp"),
    ]
    for row in rows:
        assert row["status"] == "ok"
        assert 0 < row["ms"]["low"] <= row["ms"]["value"] <= row["ms"]["high"]
        floor = max(row["flop_floor_ms"], row["byte_floor_ms"])
        assert row["times_floor"] == pytest.approx(row["ms"]["value"] / floor)
        assert row["tflops_per_s"] == pytest.approx(row["model_flops"] / row["ms"]["value"] / 1e9)
        assert row["peak_gib"] is None
        assert row["peak_gib_reason"]
    tokens = {"train": 16, "decode": 2}
    for row in rows:
        assert row["tokens_per_s"] == pytest.approx(1e3 * tokens[row["what"]] / row["ms"]["value"])
    assert rows[0]["optimizer_ms"] > 0
    assert rows[2]["steps"] == 2
    assert set(found["ratios"]) == {"train", "decode"}
    assert found["ratios"]["train"]["value"] > 1
    assert found["ceilings"] == {"tflops_per_s": 1, "gb_per_s": 10}
    assert not list(tmp_path.iterdir())


def test_the_table_has_every_figure():
    done = cli(*WORDS)
    assert done.code == 0, done.err
    heads = ("ms", "tokens/s", "GiB", "TFLOP", "TFLOP/s", "floor ms", "× floor")
    assert all(head in done.out for head in heads)
    assert "text_ebt / text_transformer_pp =" in done.out
    assert "optimiser" in done.out


def test_one_kind_of_work_without_a_rival():
    done = cli(*WORDS, "--what", "decode", "--rival", "none", "--candidates", 3, "--json")
    (row,) = done.json["rows"]
    assert (row["what"], row["candidates"], row["scored"]) == ("decode", 3, True)
    assert done.json["ratios"] == {}


def test_published_models_precision_and_steps_are_options():
    words = [*WORDS, "--what", "train", "--steps", 3, "--precision", "bf16", "--json"]
    found = cli(*words[:1], "text_published_s1", *words[1:]).json
    assert found["precision"] == "bf16"
    assert found["rows"][0]["model"] == "text_published_s1"
    two = cli(*WORDS[:1], "text_published_s1", *WORDS[1:], "--what", "train", "--json").json
    assert found["rows"][0]["model_flops"] > two["rows"][0]["model_flops"]


def test_settings_are_the_recipes_own():
    words = [*WORDS, "--what", "train", "--json"]
    wide = cli(*words, "--set", "predictor.body.transformer.feedforward.multiplier=2").json
    plain = cli(*words).json
    assert wide["rows"][0]["parameters"] > plain["rows"][0]["parameters"]
    assert wide["rows"][1]["parameters"] == plain["rows"][1]["parameters"]


def test_a_trace_can_be_read(tmp_path):
    done = cli(*WORDS, "--what", "train", "--rival", "none", "--profile", tmp_path / "a" / "t.json")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "a" / "t.json").read_text())["traceEvents"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "text_ebtt"], "Did you mean 'text_ebt'?"),
        (["bench", "--size", "smal"], "Did you mean 'small'?"),
        (["bench", "--context", "1"], "--context: must be at least 2, got 1"),
        (["bench", "--vocab", "0"], "--vocab: must be at least 2, got 0"),
        (["bench", "--precision", "fp8"], "fp8"),
        (["bench", "--what", "trian"], "Did you mean 'train'?"),
        (["bench", "--peak-tflops", "0"], "--peak-tflops must be above 0"),
        (["bench", "--rival", "text_ebt"], "beside itself says nothing"),
        (["bench", "--vocab", "1000000000"], "GiB for weights, gradients and moments alone"),
        (["bench", "--set", "thinking.stepz=3"], "Did you mean"),
        (["bench", "--profile", "/proc/none/t.json"], "cannot write /proc/none/t.json"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(words, said, monkeypatch):
    monkeypatch.setattr("argmind.bench.ceilings.measured", lambda *_: pytest.fail("measured"))
    done = cli(*words, "--device", "cpu")
    assert done.code == 2, done.err
    assert said in done.err


def test_other_data_than_text_is_measured_by_answers():
    small = ["--batch", "2", "--repeats", "2", *GIVEN]
    done = cli("bench", "image_denoise_ebt", *small, "--json")
    assert done.code == 0, done.err
    named = [(row["what"], row["model"]) for row in done.json["rows"]]
    models = ("image_denoise_ebt", "image_denoise_dit")
    assert named == [(what, model) for what in ("train", "predict") for model in models]
    for row in done.json["rows"]:
        assert row["status"] == "ok"
        assert row["model_flops"] > 0
        assert row["tokens_per_s"] == pytest.approx(2e3 / row["ms"]["value"])
    assert set(done.json["ratios"]) == {"train", "predict"}
    assert done.json["vocab_size"] is None


def test_a_rival_for_other_data_is_refused():
    done = cli("bench", "image_denoise_ebt", "--rival", "text_transformer_pp", *GIVEN)
    assert done.code == 2
    assert "choose a --rival for the same data" in done.err
