"""World models of Push-T: the next frame from frames and actions so far (needs gym-pusht)."""

from __future__ import annotations

from dataclasses import replace

from argmind.config import part_config
from argmind.recipes.base import Recipe
from argmind.recipes.video import video_ebt, video_transformer_pp
from argmind.registry import register


def _of_pusht(recipe: Recipe, name: str) -> Recipe:
    scene = part_config("scene", "pusht")
    return replace(recipe, name=name, data=part_config("dataset", "clips", scene=scene))


@register("recipe", "video_pusht_ebt")
def video_pusht_ebt() -> Recipe:
    """A world model of Push-T: ``video_ebt``, told where the pusher is sent at every frame.

    ``data.scene.shake`` lets the pusher go astray by chance; ``data.scene.told=false`` keeps the
    actions from the model.
    """
    return _of_pusht(video_ebt(), "video_pusht_ebt")


@register("recipe", "video_pusht_transformer_pp")
def video_pusht_transformer_pp() -> Recipe:
    """The plain rival on Push-T: Transformer++ in one pass, told the same."""
    return _of_pusht(video_transformer_pp(), "video_pusht_transformer_pp")
