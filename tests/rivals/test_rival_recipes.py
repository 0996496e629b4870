"""Recipes of what image energy models are compared with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from argmind.assembly import build_objective, build_predictor
from argmind.recipes.base import customised, find_recipe
from argmind.registry import names
from argmind.thinking.budget import Budget

RECIPES = (
    "image_classifier",
    "image_denoise_dit",
    "image_denoise_regression",
    "image_generate_dit",
    "image_generate_flow",
    "image_inpaint_regression",
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_learns_and_answers(name: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra 'image')")
    assert name in names("recipe")
    recipe = customised(find_recipe(name), None, [])
    data = recipe.data.build(seed=0, cache_dir=tmp_path)
    model = build_predictor(recipe, data.model_inputs)
    objective = build_objective(recipe, model)
    batch = data.batch(0, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss = objective(batch, torch.Generator().manual_seed(0)).value
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    problem, target = model.task(next(iter(data.evaluation(4))))
    got = model.predict(problem, Budget(steps=2), torch.Generator().manual_seed(0))
    assert model.loss(got.output, target).isfinite().all()
    assert objective.training_flops(batch) > 0


@pytest.mark.parametrize(
    ("size", "patch", "millions"), [("dit-s", 2, 33), ("dit-b", 4, 130), ("dit-l", 8, 458)]
)
def test_the_published_sizes(size: str, patch: int, millions: int) -> None:
    """Parameters of table 1 in DiT; it counts a latent of 4 channels in and 8 out."""
    settings = [f"predictor.patch={patch}"]
    recipe = customised(find_recipe("image_generate_dit"), size, settings)
    with torch.device("meta"):
        model = recipe.predictor.build(recipe.thinking, channels=4, image_size=32, classes=1000)
    count = sum(weight.numel() for weight in model.parameters()) / 1e6
    assert count == pytest.approx(millions, rel=0.02)
