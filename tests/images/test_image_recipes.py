"""Image recipes as runs: they train, save, load and answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argmind.api import load, run_recipe
from argmind.recipes.base import customised, find_recipe
from argmind.thinking.budget import Budget

SHORT = [
    "training.steps=4",
    "training.batch_size=8",
    "training.eval_every=4",
    "training.eval_limit=16",
    "training.device=cpu",
    "predictor.body.transformer.num_layers=1",
    "predictor.body.transformer.num_heads=2",
    "predictor.body.transformer.hidden_dim=16",
]
RECIPES = {
    "image_denoise_ebt": "smooth_l1",
    "image_denoise_published_s1": "smooth_l1",
    "image_inpaint_ebt": "smooth_l1",
    "image_generate_ebt": "field_error",
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_becomes_a_run(name: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="digits come from scikit-learn")
    recipe = customised(find_recipe(name), None, SHORT)
    outcome = run_recipe(recipe, tmp_path / "run")
    assert outcome.best is not None
    assert outcome.best["metric"] == RECIPES[name]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    judged = [line for line in map(json.loads, lines) if line["split"] == "evaluation"]
    assert judged[-1][RECIPES[name]] == outcome.best["value"]
    assert ("psnr" in judged[-1]) == (name != "image_generate_ebt")
    run = load(tmp_path / "run", device="cpu")
    data = recipe.data.build(seed=0)
    batch = next(iter(data.evaluation(4, 4)))
    problem, clean = run.predictor.task(batch)
    said = run.predictor.predict(problem, Budget(steps=2))
    assert said.output.shape == clean.shape
    assert said.output.abs().max() <= 1 or name == "image_denoise_published_s1"


def test_recipes_grow_with_the_size() -> None:
    recipe = customised(find_recipe("image_denoise_ebt"), "small", ["predictor.space.patch=2"])
    dims = recipe.predictor.body.transformer  # type: ignore[attr-defined]
    assert (dims.num_layers, dims.num_heads, dims.hidden_dim) == (12, 12, 768)
