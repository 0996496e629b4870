"""Reasoning recipes: an energy model that thinks on simplices, and rivals of its size.

They are written for 6×6 Sudoku and small enough for a CPU; :func:`with_problem` makes them those of
another problem.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from argmind.config import PartConfig, part_config
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.recipes.base import Recipe
from argmind.registry import register
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.config import OptimizerConfig, TrainingConfig

#: Thinking steps, and loops, that models are trained with.
STEPS = 4
_TRAINING = TrainingConfig(steps=1_000, batch_size=64, eval_every=250, checkpoint_every=500)
_OPTIMIZER = OptimizerConfig(lr=1e-3, warmup_steps=50, weight_decay=0.01)


def with_problem(recipe: Recipe, problem: PartConfig, answers_with: str = "symbols") -> Recipe:
    """The recipe for another problem (``part_config("problem", …)``).

    ``answers_with``: "symbols", or "numbers" for problems of real matrices.
    """
    predictor: Any = recipe.predictor
    if answers_with == "numbers" and any(item.name == "space" for item in fields(predictor)):
        predictor = replace(predictor, space=part_config("space", "numbers"))
    return replace(
        recipe, data=part_config("dataset", "reasoning", problem=problem), predictor=predictor
    )


def _trunk(num_layers: int = 3) -> BidirectionalConfig:
    """There is one condition for all problems, so it is added."""
    return BidirectionalConfig(
        num_layers=num_layers, num_heads=4, hidden_dim=96, modulation="added"
    )


def _recipe(name: str, predictor: PartConfig, objective: PartConfig, steps: int = STEPS) -> Recipe:
    return Recipe(
        name=name,
        data=part_config("dataset", "reasoning", problem=part_config("problem", "sudoku")),
        predictor=predictor,
        thinking=ThinkingConfig(steps=steps, start="zeros"),
        objective=objective,
        optimizer=_OPTIMIZER,
        training=_TRAINING,
    )


@register("recipe", "reasoning_sudoku_ebt")
def reasoning_sudoku_ebt() -> Recipe:
    """Sudoku by descent on simplices: mirror steps from zero, one learnt at a time.

    A problem's candidate is carried from batch to batch, which learns several times faster than
    unrolling all steps, and stays right however long it thinks; half of the thoughts begin off
    their start, which long ones profit from (docs/thinking.md).
    """
    head = part_config("head", "bilinear")
    body = part_config("body", "bidirectional", transformer=_trunk(), head=head)
    return _recipe(
        "reasoning_sudoku_ebt",
        part_config("predictor", "ebt", space=part_config("space", "grid"), body=body),
        part_config("objective", "carried", noisy_starts=0.5),
    )


@register("recipe", "reasoning_sudoku_one_pass")
def reasoning_sudoku_one_pass() -> Recipe:
    """The rival that does not think: the same trunk, read once."""
    return _recipe(
        "reasoning_sudoku_one_pass",
        part_config("predictor", "one_pass", transformer=_trunk()),
        part_config("objective", "supervised"),
    )


@register("recipe", "reasoning_sudoku_looped")
def reasoning_sudoku_looped() -> Recipe:
    """The rival that thinks without an energy: the same trunk, one to four times over."""
    return _recipe(
        "reasoning_sudoku_looped",
        part_config("predictor", "looped", transformer=_trunk()),
        part_config("objective", "supervised", fewest_turns=1),
    )


@register("recipe", "reasoning_sudoku_recursive")
def reasoning_sudoku_recursive() -> Recipe:
    """The recursive reasoner (TRM): two layers, deep supervision, averaged weights, halting."""
    recipe = _recipe(
        "reasoning_sudoku_recursive",
        part_config("predictor", "recursive", transformer=_trunk(num_layers=2)),
        part_config("objective", "deep_supervision"),
        steps=16,
    )
    return replace(recipe, training=replace(recipe.training, ema_decay=0.999))


@register("recipe", "reasoning_sudoku_diffusion")
def reasoning_sudoku_diffusion() -> Recipe:
    """The rival that denoises answers: the same trunk, ten sampler steps."""
    return _recipe(
        "reasoning_sudoku_diffusion",
        part_config("predictor", "answer_diffusion", transformer=_trunk()),
        part_config("objective", "answer_diffusion"),
        steps=10,
    )


@register("recipe", "reasoning_sudoku_annealed")
def reasoning_sudoku_annealed() -> Recipe:
    """IRED: ten annealed landscapes, taught their noise and to tell right from wrong."""
    body = part_config("body", "bidirectional", transformer=_trunk(), landscapes="told")
    return _recipe(
        "reasoning_sudoku_annealed",
        part_config("predictor", "annealed", body=body),
        part_config("objective", "ired"),
        steps=5,
    )
