"""Gradients of a whole model, by engine and precision, against float64 eager."""

from __future__ import annotations

from typing import Any

import pytest

from argmind.bench.gradients import Engine, agreements
from argmind.bench.subject import Setting
from argmind.thinking import landscape

SETTINGS = [
    *("predictor.body.transformer.num_layers=2", "predictor.body.transformer.num_heads=2"),
    "predictor.body.transformer.hidden_dim=16",
]


def found(*engines: Engine) -> list[dict[str, Any]]:
    setting = Setting(
        size=None, context_tokens=6, batch_size=2, vocab_size=30, precision="fp32", device="cpu"
    )
    named = {str(index): engine for index, engine in enumerate(engines)}
    every = agreements(setting, setting.recipe("text_ebt", SETTINGS), named)
    return [one.plain() for one in every.values()]


def test_every_form_agrees_as_far_as_its_precision_goes() -> None:
    fused = ("predictor.body.transformer.attention=fused",)
    exact, single, half, other = found(
        Engine(precision="fp64"), Engine(), Engine(precision="bf16"), Engine(settings=fused)
    )
    assert exact["worst_error"] == 0
    assert exact["worst_cosine"] == pytest.approx(1)
    assert single["worst_error"] < 1e-4
    assert other["worst_error"] < 1e-4
    assert 1e-4 < half["median_error"] < 0.1
    assert half["worst_cosine"] > 0.9
    assert single["parameters"] == exact["parameters"] > 20


def test_a_dropped_second_derivative_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = landscape.energy_gradient

    def without(energies: Any, point: Any, graph: bool) -> Any:
        gradient, energy = whole(energies, point, graph)
        # The truth is computed first, in float64, and keeps everything.
        return (gradient.detach() if point.dtype.itemsize < 8 else gradient), energy

    monkeypatch.setattr(landscape, "energy_gradient", without)
    (broken,) = found(Engine())
    assert broken["worst_error"] > 0.1
