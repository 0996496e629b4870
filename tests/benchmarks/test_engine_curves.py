"""``benchmarks/engine_curves.py``: its figures and its picture, from losses that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def row(losses: list[float], seed: int) -> dict[str, Any]:
    return {"losses": losses, "training_s": 2.0, "seed": seed}


def test_how_far_curves_are_apart_is_found_seed_by_seed(tmp_path: Path) -> None:
    import engine_curves

    rows = {
        "fast_bf16": [row([3.0, 2.0], 0), row([3.0, 2.5], 1)],
        "reference_bf16": [row([3.0, 2.5], 0), row([3.0, 2.5], 1)],
        "fast_fp32": [row([1.0], 0)],
    }
    found = {name: value for name, value, _ in engine_curves.figures(rows)}
    assert found["bf16_most_apart"].value == pytest.approx(0.25)
    assert found["bf16_most_apart"].high == pytest.approx(0.5)
    assert found["bf16_mean_apart"].value == pytest.approx(0.125)
    assert "fp32_most_apart" not in found
    picture = tmp_path / "engines.svg"
    engine_curves.draw(rows, picture)
    assert picture.read_text(encoding="utf-8").count("reference") >= 1
