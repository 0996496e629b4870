"""``benchmarks/speed.py``: the names of its figures, and that finished cases are not run again."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from argmind.eval.results import read_results

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SHAPES = ("small_s256_b32", "small_s1024_b8", "small_s4096_b2", "small_s16384_b1", "xxs_s256_b32")
TRAINED = (*SHAPES, *(f"default_{shape}" for shape in SHAPES))


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("speed")


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": 0.9 * value, "high": 1.1 * value}


def model(name: str, **more: Any) -> dict[str, Any]:
    floors = {"flop_floor_ms": 2.0, "byte_floor_ms": 3.0}
    return {"model": name, "status": "ok", "ms": interval(9.0), "peak_gib": 4.0, **floors, **more}


def row_of(case: str) -> dict[str, Any]:
    """What a case might leave."""
    if case.startswith("decode_"):
        names = ("ratio", "scored_ratio", "16_candidates_ratio")
        rows = [model("text_transformer_pp"), model("text_ebt", candidates=1)]
        return {
            "job": case,
            "seed": 0,
            "rows": rows,
            "ratios": {name: interval(5.0) for name in names},
        }
    if case.startswith("gradients_"):
        names = ("worst_error", "median_error", "worst_cosine", "median_cosine")
        return {"job": case, "seed": 0, "agreement": dict.fromkeys(names, 0.5)}
    if case == "cpu_quickstart":
        return {"job": case, "seed": 0, "ratios": {case: interval(6.0)}}
    ours = "text_ebt" if case.startswith("default") else "text_published_s1"
    rows = [model(ours), *([model("text_transformer_pp")] if case in TRAINED else [])]
    return {"job": case, "seed": 0, "rows": rows, "ratios": {"train": interval(4.0)}}


def run(speed: Any, rows: list[dict[str, Any]], out: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    out.with_suffix(".runs").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(sys, "argv", ["benchmarks/speed.py", "--out", str(out)])
    speed.main()
    return read_results(out)


def test_all_figures_have_their_names(
    speed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed.jobs, "_process", lambda *_: pytest.fail("measured again"))
    rows = [row_of(case) for case in speed.CASES]
    figures = run(speed, rows, tmp_path / "speed.json", monkeypatch).figures
    kinds = ("ms", "gib", "tpp_ms", "floor_ms", "ratio")
    wanted = {f"{case}_{kind}" for case in TRAINED for kind in kinds}
    wanted |= {"decode_b1_ratio", "decode_b64_ratio", "decode_16_candidates_ratio"}
    wanted |= {"cpu_quickstart_ratio", "gradient_bf16_compiled_fused_worst_error"}
    wanted |= {f"steps_{steps}{kind}_gib" for steps in (1, 2, 3, 8) for kind in ("", "_s1")}
    wanted |= {f"length_{length}_gib" for length in (4096, 8192, 16384, 32768)}
    wanted |= {"published_time_embed_ms", "published_adaln_ms"}
    assert wanted <= set(figures)
    assert figures["small_s256_b32_floor_ms"].value == 3.0
    assert figures["small_s256_b32_ms"].high == pytest.approx(9.9)


def test_what_did_not_fit_is_null_with_a_reason(
    speed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed.jobs, "_process", lambda *_: None)
    status = "out of memory (200.0 GiB estimated)"
    gone = {"status": status, "ms": None, "peak_gib": None}
    floors = {"flop_floor_ms": None, "byte_floor_ms": None}
    row = row_of("small_s16384_b1")
    row = {**row, "rows": [{**row["rows"][0], **gone, **floors}, row["rows"][1]], "ratios": {}}
    figures = run(speed, [row], tmp_path / "speed.json", monkeypatch).figures
    for kind in ("ms", "gib", "floor_ms"):
        assert figures[f"small_s16384_b1_{kind}"].value is None
        assert figures[f"small_s16384_b1_{kind}"].reason == status
    assert figures["small_s16384_b1_tpp_ms"].value == 9.0
    assert figures["small_s16384_b1_ratio"].value is None


def test_a_case_that_fails_leaves_the_others(
    speed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def process(job: Any, *_: Any) -> Any:
        tried.append(job.name)
        return None if job.name == "decode_b64" else row_of(job.name)

    monkeypatch.setattr(speed.jobs, "_process", process)
    out = tmp_path / "speed.json"
    figures = run(speed, [row_of("decode_b1")], out, monkeypatch).figures
    assert tried == [case for case in speed.CASES if case != "decode_b1"]
    assert "decode_b64_ratio" not in figures
    assert "decode_b1_ratio" in figures
    kept = [json.loads(line)["job"] for line in out.with_suffix(".runs").read_text().splitlines()]
    assert sorted(kept) == sorted(set(speed.CASES) - {"decode_b64"})
