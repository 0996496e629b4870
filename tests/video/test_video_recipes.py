"""Recipes of next-frame models: each learns, answers, and rolls out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from argmind.assembly import build_objective, build_predictor
from argmind.eval.rollout import roll_out
from argmind.recipes.base import customised, find_recipe
from argmind.thinking.budget import Budget

SETTINGS = ["data.image_size=16", "data.frames=6", "data.clips=8", "data.eval_clips=4"]


RECIPES = {
    "video_ebt": "sklearn",
    "video_field_ebt": "sklearn",
    "video_nearest_ebt": "sklearn",
    "video_transformer_pp": "sklearn",
    "video_diffusion": "sklearn",
    "video_pusht_ebt": "gym_pusht",
    "video_pusht_transformer_pp": "gym_pusht",
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("size", [None, "4xs"])
def test_a_recipe_learns_and_rolls_out(name: str, size: str | None, tmp_path: Path) -> None:
    pytest.importorskip(RECIPES[name], reason="its scene needs an extra")
    recipe = customised(find_recipe(name), size, SETTINGS)
    data = recipe.data.build(seed=0, cache_dir=tmp_path)
    model = build_predictor(recipe, data.model_inputs)
    objective = build_objective(recipe, model)
    batch = data.batch(0, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = objective(batch, torch.Generator().manual_seed(0)).value
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    assert objective.training_flops(batch) > 0
    held = next(iter(data.evaluation(2)))
    frames, actions = held["frames"], held.get("actions")
    made = roll_out(model, frames[:, :3], 4, window=5, actions=actions, budget=Budget(steps=2))
    assert made.frames.shape == (2, 4, *frames.shape[2:])
    assert made.frames.isfinite().all()
