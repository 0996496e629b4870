"""From a recipe to the objects that train and predict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from argmind.config import to_dict
from argmind.objectives.base import Objective
from argmind.predictors.base import Predictor, require_understood
from argmind.recipes.base import Recipe


def build_predictor(recipe: Recipe, inputs: Mapping[str, Any]) -> Predictor:
    """The recipe's predictor with fresh weights drawn from the run's seed.

    ``inputs`` is what the data says about itself (text: ``vocab_size``). The global generator is
    left as it was.

    Raises:
        UserError: the predictor is not made for such data.
    """
    require_understood(recipe.predictor, inputs, own=("self", "config", "thinking"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        return recipe.predictor.build(recipe.thinking, **inputs)


def build_objective(recipe: Recipe, predictor: Predictor) -> Objective[Any]:
    """The recipe's objective around this predictor.

    Raises:
        UserError: objective and predictor do not go together.
    """
    return recipe.objective.build(predictor)


def run_description(recipe: Recipe, inputs: Mapping[str, Any], command: str) -> dict[str, Any]:
    """What ``recipe.json`` holds: everything needed to rebuild the predictor."""
    from argmind import __version__

    return {
        "argmind": __version__,
        "command": command,
        "inputs": dict(inputs),
        "recipe": to_dict(recipe),
    }
