"""What a recipe is: one run, from data to budget, as a frozen tree."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any

from argmind.config import PartConfig, override, part
from argmind.nn.dimensions import Dimensions
from argmind.nn.sizes import find_size
from argmind.registry import find
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.config import OptimizerConfig, TrainingConfig

#: The size that recipes are written and tuned at.
RECIPE_SIZE = "xxs"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Data, model, thinking, objective, optimiser and budget of one run."""

    name: str
    data: PartConfig = part("dataset", "text")
    predictor: PartConfig = part("predictor", "ebt")
    thinking: ThinkingConfig = field(default_factory=ThinkingConfig)
    objective: PartConfig = part("objective", "thinking")
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def find_recipe(name: str) -> Recipe:
    """The recipe registered under this name.

    Raises:
        UserError: no such recipe, with the nearest one.
    """
    return find("recipe", name)()


def sized(recipe: Recipe, size: str) -> Recipe:
    """The recipe at another size of the published ladder: layers, heads, width, learning rate.

    The recipe's peak learning rate is that of its own size, :data:`RECIPE_SIZE`; from there it
    moves in the published proportion.

    Raises:
        UserError: no such size.
    """
    to = find_size(size)
    changed = _with_dimensions(recipe.predictor, to.num_layers, to.num_heads, to.hidden_dim)
    lr = recipe.optimizer.lr * to.lr / find_size(RECIPE_SIZE).lr
    return replace(recipe, predictor=changed, optimizer=replace(recipe.optimizer, lr=lr))


def _with_dimensions(config: Any, layers: int, heads: int, width: int) -> Any:
    """A config tree with the dimensions of its transformer changed."""
    if isinstance(config, Dimensions):
        return replace(config, num_layers=layers, num_heads=heads, hidden_dim=width)
    changes = {
        item.name: _with_dimensions(getattr(config, item.name), layers, heads, width)
        for item in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, item.name))
    }
    return replace(config, **changes)


def customised(recipe: Recipe, size: str | None, settings: list[str]) -> Recipe:
    """A recipe at a size, then with ``a.b=value`` settings applied.

    Raises:
        UserError: unknown size or option, or a value that cannot be used.
    """
    if size is not None:
        recipe = sized(recipe, size)
    return override(recipe, settings)
