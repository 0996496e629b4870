"""Two models with equally many parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argmind.assembly import build_predictor
from argmind.recipes.base import Recipe, customised

#: How far apart the two may be: of the number aimed at.
TOLERANCE = 0.02


def count_parameters(recipe: Recipe, inputs: Mapping[str, Any]) -> int:
    """Trained numbers of the recipe's predictor."""
    return sum(weight.numel() for weight in build_predictor(recipe, inputs).parameters())


def matched(recipe: Recipe, setting: str, target: int, inputs: Mapping[str, Any]) -> Recipe:
    """The recipe with the width ``setting`` chosen so that it has ``target`` parameters.

    ``setting`` names a number, such as a feed-forward multiplier, that the parameters grow
    linearly with.

    Raises:
        ValueError: no width comes within :data:`TOLERANCE`.
    """

    def at(width: float) -> tuple[Recipe, int]:
        wide = customised(recipe, None, [f"{setting}={width!r}"])
        return wide, count_parameters(wide, inputs)

    narrow, twice = at(1.0)[1], at(2.0)[1]
    width = 1.0 + (target - narrow) / (twice - narrow)
    if width > 0:
        found, parameters = at(width)
        if abs(parameters - target) <= TOLERANCE * target:
            return found
    raise ValueError(
        f"{setting}={width:.3g} does not give {recipe.name} about {target:,} parameters"
    )
