"""Floors by hand, times in turns, and rows of what does not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from argmind.bench import training
from argmind.bench.ceilings import Ceilings, measured
from argmind.bench.decoding import Asked
from argmind.bench.floors import decoding_bytes, training_bytes, training_memory
from argmind.bench.measure import Options, measure
from argmind.bench.rows import Row
from argmind.bench.subject import Setting, estimated
from argmind.bench.timing import in_turns, is_out_of_memory, median, ratio
from argmind.errors import UserError
from argmind.thinking.budget import Budget

CPU = torch.device("cpu")
TINY = {"size": "4xs", "context_tokens": 8, "batch_size": 2, "vocab_size": 50, "precision": "fp32"}


def setting(**changes: Any) -> Setting:
    return Setting(**{**TINY, "device": "cpu", "repeats": 2, **changes})


def test_works_take_turns() -> None:
    calls: list[str] = []
    times = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, CPU)
    assert calls == ["a", "b"] * 3
    assert [len(x) for x in times.values()] == [3, 3]
    assert all(x >= 0 for x in times["a"])


def test_medians_have_a_spread() -> None:
    got = median([3.0, 1.0, 2.0, 100.0, 4.0])
    assert got.value == 3.0
    assert got.low is not None
    assert got.high is not None
    assert 1.0 <= got.low < 3.0 < got.high <= 100.0
    assert median([5.0, 7.0]) == (6.0, None, None)
    assert ratio([2.0, 4.0, 9.0], [1.0, 2.0, 3.0]).value == 2.0


def test_a_cpu_has_ceilings() -> None:
    here = measured(CPU, "fp32")
    assert here.flops_per_s > 1e8
    assert here.bytes_per_s > 1e7
    assert Ceilings(2e12, 1e9).flop_floor_ms(4e12) == 2000
    assert Ceilings(2e12, 1e9).byte_floor_ms(5e8) == 500


def test_the_floor_of_transformer_pp_by_hand() -> None:
    sizes = setting(vocab_size=1000)
    model = sizes.model(sizes.recipe("text_transformer_pp"))
    layers, width, hidden, rows = 2, 128, 128, 16
    weights = sum(x.numel() for x in model.parameters())
    numbers = rows * (layers * (56 * width + 17 * hidden) + 5 * 1000) + 3 * weights
    assert training_bytes(model, rows, 2, "bf16") == 2 * numbers
    assert training_bytes(model, rows, 2, "fp32") == 4 * numbers
    matrices = layers * 7 * width**2
    cached = 2 * 3 * 20 * layers * width
    token = decoding_bytes(model, 3, 20, Budget(), 0, "bf16")
    assert token == 2 * (matrices + cached + 1000 * width)


@pytest.mark.parametrize(("score", "passes", "readings"), [(False, 5, 5), (True, 6, 6)])
def test_a_thinking_token_reads_everything_in_every_pass(
    score: bool, passes: int, readings: int
) -> None:
    sizes = setting(vocab_size=1000)
    model = sizes.model(sizes.recipe("text_ebt"))
    layers, width = 2, 128
    per_pass = layers * 7 * width**2 + 2 * 3 * 20 * layers * width
    token = decoding_bytes(model, 3, 20, Budget(score=score), 2, "bf16")
    assert token == 2 * (passes * per_pass + readings * 1000 * width)


def test_step_conditioned_contexts_cost_more() -> None:
    sizes = setting()
    shared = sizes.model(sizes.recipe("text_ebt"))
    settings = ["predictor.body.conditioning=time_embed"]
    own = sizes.model(sizes.recipe("text_ebt", settings))
    pairs = [
        (training_bytes(x, 16, 3, "bf16"), training_bytes(x, 16, 1, "bf16")) for x in (shared, own)
    ]
    for thrice, once in pairs:
        assert thrice is not None
        assert once is not None
    (a3, a1), (b3, b1) = pairs
    assert b3 - a3 > b1 - a1  # type: ignore[operator]


def test_longer_and_wider_needs_more_memory() -> None:
    sizes = setting()
    model = sizes.model(sizes.recipe("text_ebt"))
    little = training_memory(model, 16, 2, "bf16")
    assert training_memory(model, 32, 2, "bf16") > little
    assert training_memory(model, 16, 3, "bf16") > little
    assert training_memory(model, 16, 2, "fp32") > little


# ---------------------------------------------------------------------- what does not fit


def test_weights_that_cannot_fit_are_refused_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = setting(size="xl", vocab_size=10**9)
    monkeypatch.setattr(Setting, "model", lambda *_: pytest.fail("built"))
    with pytest.raises(UserError, match=r"GiB for weights, gradients and moments alone.*--vocab"):
        measure(Options(setting=sizes))


def test_a_step_that_cannot_fit_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = setting(batch_size=10**9)
    monkeypatch.setattr(Setting, "model", lambda *_: pytest.fail("built"))
    estimate = estimated(sizes, sizes.recipe("text_ebt"))
    assert not estimate.fits
    rows, times = training.measure_training(sizes, [sizes.recipe("text_ebt")], Ceilings(1e12, 1e12))
    assert [row.status for row in rows] == [f"out of memory ({estimate} estimated)"]
    assert not times
    assert json.loads(json.dumps(rows[0].plain()))["ms"] is None


def test_running_out_of_memory_is_a_row_and_the_rival_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = training.Training.step

    def failing(self: training.Training) -> Any:
        if self.recipe.name == "text_ebt":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB")
        return step(self)

    monkeypatch.setattr(training.Training, "step", failing)
    given = {"flops_per_s": 1e12, "bytes_per_s": 1e12}
    found = measure(Options(setting=setting(), what="train", **given))  # type: ignore[arg-type]
    by_name = {row.model: row for row in found.rows}
    assert by_name["text_ebt"].status.startswith("out of memory (")
    assert by_name["text_transformer_pp"].status == "ok"
    assert not found.ratios


def test_other_failures_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any) -> None:  # noqa: ARG001
        raise RuntimeError("a wheel came off")

    monkeypatch.setattr(training.Training, "step", broken)
    with pytest.raises(RuntimeError, match="wheel"):
        training.measure_training(setting(), [setting().recipe("text_ebt")], Ceilings(1e12, 1e12))
    assert not is_out_of_memory(RuntimeError("a wheel came off"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))


def test_what_is_asked_of_decoding() -> None:
    assert not Asked().budget().score
    assert Asked(candidates=4).budget().score
    assert Asked(score=True, steps=3).budget().steps == 3


def test_a_row_knows_how_far_it_is_from_the_floor() -> None:
    row = Row.of(
        what="train",
        model="x",
        times=[2.0, 4.0, 3.0],
        predictions=30,
        flops=1e9,
        moved_bytes=2e9,
        peak_bytes=2**30,
        ceilings=Ceilings(1e12, 1e12),
        parameters=5,
        details={},
    )
    assert row.tokens_per_s == 10_000
    assert (row.flop_floor_ms, row.byte_floor_ms, row.floor_ms) == (1, 2, 2)
    assert row.over_floor == 1.5
    plain = row.plain()
    assert (plain["peak_gib"], plain["tflops_per_s"]) == (1, pytest.approx(1 / 3))
