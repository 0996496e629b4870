"""Reasoning from recipe to judged answers: runs, loading, exact checks, equal sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import argmind
from argmind.api import run_recipe
from argmind.assembly import build_objective, build_predictor
from argmind.config import part_config
from argmind.errors import UserError
from argmind.eval.problems import solve
from argmind.quickstart.parameters import count_parameters, matched
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.recipes.reasoning import with_problem
from argmind.registry import names
from argmind.thinking.budget import Budget

RECIPES = [name for name in names("recipe") if name.startswith("reasoning_")]
SMALL = (
    "data.problem.side=4",
    "data.problem.train_puzzles=60",
    "data.problem.eval_puzzles=20",
    "training.batch_size=4",
    "training.steps=2",
    "training.log_every=1",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGMIND_CACHE", str(tmp_path / "cache"))


def small(name: str) -> Recipe:
    recipe = find_recipe(name)
    trunk = "predictor.body.transformer" if hasattr(recipe.predictor, "body") else None
    trunk = trunk or "predictor.transformer"
    sizes = (f"{trunk}.hidden_dim=16", f"{trunk}.num_layers=1", f"{trunk}.num_heads=2")
    return customised(recipe, None, [*SMALL, *sizes])


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_and_its_run_is_loaded(name: str, tmp_path: Path) -> None:
    outcome = run_recipe(small(name), tmp_path / "run", command="test")
    assert outcome.reason == "finished"
    assert np.isfinite(outcome.best["value"])
    loaded = argmind.load(tmp_path / "run", which="latest", device="cpu")
    data = small(name).data.build(seed=0)
    problem, _ = loaded.predictor.task(next(iter(data.evaluation(4))))
    got = loaded.predictor.predict(problem, Budget(steps=2))
    assert got.output.shape == (4, 16, 4)


def test_rivals_have_as_many_parameters() -> None:
    inputs = part_config("problem", "sudoku", side=4, train_puzzles=8, eval_puzzles=8)
    inputs = inputs.build().inputs
    aim = count_parameters(find_recipe("reasoning_sudoku_ebt"), inputs)
    for name in ("one_pass", "looped"):
        found = count_parameters(find_recipe(f"reasoning_sudoku_{name}"), inputs)
        assert found == pytest.approx(aim, rel=0.01)
    for name in ("recursive", "diffusion"):
        rival = find_recipe(f"reasoning_sudoku_{name}")
        setting = "predictor.transformer.feedforward.multiplier"
        assert count_parameters(matched(rival, setting, aim, inputs), inputs) == pytest.approx(
            aim, rel=0.02
        )


#: Problems other than Sudoku, small.
OTHERS: dict[str, dict[str, Any]] = {
    "inverse": {"side": 4},
    "completion": {"side": 4, "tokens": "elements"},
    "vector_sum": {"side": 3},
    "connectivity": {"nodes": 4, "harder_nodes": (5, 6, 7)},
    "shortest_path": {"nodes": 4, "harder_nodes": (5, 6, 7)},
    "sorting": {"length": 4},
    "addition": {"digits": 1, "hard_digits": 2},
    "multiplication": {"digits": 1, "hard_digits": 2},
    "dyck": {"length": 8, "depth": 2, "hard_depth": 3, "hard_length": 10},
}


def test_no_problem_is_forgotten() -> None:
    assert {*OTHERS, "sudoku", "sudoku_file"} == set(names("problem"))


@pytest.mark.parametrize("problem", OTHERS)
@pytest.mark.parametrize("name", [name for name in RECIPES if "annealed" not in name])
def test_every_model_answers_every_problem(name: str, problem: str) -> None:
    config = part_config("problem", problem, **OTHERS[problem])
    kind = "numbers" if "numbers" in config.build().inputs else "symbols"
    settings = [one for one in SMALL if not one.startswith("data.problem")]
    recipe = with_problem(small(name), config, kind)
    recipe = customised(recipe, None, settings)
    data = recipe.data.build(seed=0)
    objective = build_objective(recipe, build_predictor(recipe, data.model_inputs)).train()
    loss = objective(data.batch(0, 4), torch.Generator().manual_seed(0))
    loss.value.backward()
    assert loss.value.isfinite()
    for split in data.splits:
        found = solve(objective.predictor, data, split, Budget(steps=2), limit=6, batch_size=4)
        assert found.solved.shape == found.difficulty.shape == (6,)


class Oracle(torch.nn.Module):
    """Answers all problems but every third, and is less sure of those."""

    thinks = True

    def __init__(self, model: Any, truth: torch.Tensor) -> None:
        super().__init__()
        self.model, self.truth, self.first = model, truth, 0

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.model, name)

    def predict(self, problem: Any, budget: Any, generator: Any) -> Any:
        from dataclasses import replace

        got = self.model.predict(problem, budget, generator)
        count = len(got.output)
        rows = torch.arange(self.first, self.first + count)
        self.first += count
        wrong = rows % 3 == 0
        answer = torch.where(wrong[:, None], (self.truth[rows] + 1) % 4, self.truth[rows])
        output = torch.nn.functional.one_hot(answer, 4).float()
        return replace(got, output=output, energy=wrong.float())


def test_answers_are_judged_by_the_rules() -> None:
    recipe = small("reasoning_sudoku_one_pass")
    data = recipe.data.build(seed=0)
    truth = torch.cat([batch["target"] for batch in data.evaluation(20, split="hard")])
    oracle = Oracle(build_predictor(recipe, data.model_inputs), truth)
    found = solve(oracle, data, "hard", Budget(), batch_size=8)  # type: ignore[arg-type]
    assert found.solved.tolist() == [row % 3 != 0 for row in range(20)]
    assert found.accuracy().value == pytest.approx(13 / 20)
    assert found.accuracy().low < 13 / 20 < found.accuracy().high
    assert found.verifier_auroc == 1.0
    assert np.isnan(found.steps_follow_difficulty), "one number of steps follows nothing"
    assert found.mean_nfe == 1
    oracle.first, oracle.truth = 0, (truth + 1) % 4
    shifted = solve(oracle, data, "hard", Budget(), batch_size=8)  # type: ignore[arg-type]
    assert not shifted.solved.any(), "given cells stand, so other digits are wrong"
    assert np.isnan(shifted.verifier_auroc)
    with pytest.raises(UserError, match="unknown split"):
        solve(oracle, data, "harder", Budget())  # type: ignore[arg-type]


def test_models_and_problems_that_do_not_go_together() -> None:
    inverse = part_config("problem", "inverse").build().inputs
    with pytest.raises(UserError, match=r"set predictor\.space=numbers"):
        build_predictor(small("reasoning_sudoku_ebt"), inverse)
    with pytest.raises(UserError, match="answers reasoning problems"):
        build_predictor(small("reasoning_sudoku_ebt"), {"vocab_size": 7})
    with pytest.raises(UserError, match="answers reasoning problems"):
        build_predictor(small("reasoning_sudoku_looped"), {"vocab_size": 7})
