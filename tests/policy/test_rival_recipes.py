"""Recipes of Diffusion Policy and of behaviour cloning, from demonstrations to actions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from argmind.api import run_recipe
from argmind.config import from_dict, to_dict
from argmind.data.normaliser import Normaliser
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.registry import find, names, summary
from argmind.runs import load_run
from argmind.thinking.budget import Budget
from argmind.train.checkpoint import CheckpointStore

from .recordings import recordings

RIVALS = ("diffusion", "regression")
NAMES = [
    f"policy_{environment}_{rival}"
    for environment in ("pusht", "metaworld", "pointmaze", "point")
    for rival in RIVALS
]
SMALL = [
    *("predictor.transformer.num_layers=1", "predictor.transformer.hidden_dim=16"),
    *("training.steps=4", "training.batch_size=4", "training.device=cpu", "data.eval_fraction=0.3"),
    *("training.compile=off", "optimizer.warmup_steps=1"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_as_published(name: str):
    assert name in names("recipe")
    recipe = find_recipe(name)
    environment = name.split("_")[1]
    assert environment in summary(find("recipe", name))
    assert recipe.name == name
    assert from_dict(Recipe, to_dict(recipe)) == recipe
    data, optimizer, training = recipe.data, recipe.optimizer, recipe.training
    assert data.source == f"demos/{environment}"  # type: ignore[attr-defined]
    assert (data.frames, data.chunk, data.execute) == (2, 16, 8)  # type: ignore[attr-defined]
    assert (training.ema_decay, training.ema_power) == (0.9999, 0.75)
    assert optimizer.betas == (0.9, 0.95)
    assert optimizer.min_lr_ratio == 0
    if environment != "point":
        assert optimizer.lr == 1e-4
        assert optimizer.weight_decay == (0.1 if environment == "pusht" else 1e-3)
        transformer = recipe.predictor.transformer  # type: ignore[attr-defined]
        sizes = (transformer.num_layers, transformer.num_heads, transformer.hidden_dim)
        assert sizes == (8, 4, 256)


@pytest.mark.parametrize("environment", ["pusht", "metaworld", "pointmaze", "point"])
def test_rivals_are_taught_on_equal_terms(environment: str):
    one, other = (find_recipe(f"policy_{environment}_{rival}") for rival in RIVALS)
    for part in ("data", "optimizer", "training"):
        assert getattr(one, part) == getattr(other, part)
    assert one.predictor.transformer == other.predictor.transformer  # type: ignore[attr-defined]


@pytest.mark.parametrize("rival", RIVALS)
def test_from_demonstrations_to_actions(rival: str, tmp_path: Path):
    recipe = customised(find_recipe(f"policy_point_{rival}"), None, SMALL)
    data = recipe.data.build(seed=0, given=recordings())
    outcome = run_recipe(recipe, tmp_path / "run", data=data)
    assert outcome.steps == 4

    run = load_run(tmp_path / "run", which="last", device="cpu")
    average = CheckpointStore(tmp_path / "run/checkpoints").latest().tensors("ema")
    weights = dict(run.predictor.named_parameters())
    assert all(torch.equal(weights[name], tensor) for name, tensor in average.items())
    batch = data.batch(0, 3)
    problem, target = run.predictor.task(batch)
    got = run.predictor.predict(problem, Budget(steps=3), torch.Generator().manual_seed(0))
    assert got.output.shape == target.shape
    normaliser = Normaliser.load(tmp_path / "run")
    actions = normaliser.decode("actions", got.output)
    assert actions.isfinite().all()
    torch.testing.assert_close(
        normaliser.decode("actions", target), data.normaliser.decode("actions", target)
    )


@pytest.mark.parametrize("rival", RIVALS)
def test_a_resumed_training_is_the_training_continued(rival: str, tmp_path: Path):
    settings = [*SMALL, "training.checkpoint_every=2", "training.keep=9", "training.eval_every=0"]
    recipe = customised(find_recipe(f"policy_point_{rival}"), None, settings)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    run_recipe(recipe, whole, data=recipe.data.build(seed=0, given=recordings()))
    shutil.copytree(whole, halves)
    shutil.rmtree(halves / "checkpoints/step-00000004")
    run_recipe(recipe, halves, data=recipe.data.build(seed=0, given=recordings()), resume=True)
    for name in ("model", "ema", "optimizer"):
        file = f"checkpoints/step-00000004/{name}.safetensors"
        assert (whole / file).read_bytes() == (halves / file).read_bytes()
