"""The quickstart of video: a digit that flies, bounces, and turns left or right by chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argmind.data.base import optional_module
from argmind.quickstart.base import Domain, Entrant, Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.screen import Screen
from argmind.quickstart.tour import tour
from argmind.quickstart.video_study import VideoStudy
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.registry import register


@register("quickstart", "video")
def video_quickstart(
    *, minutes: float = 5.0, out: str | Path | None = None, seed: int = 0, silent: bool = False
) -> dict[str, Any]:
    """An EBT and a regression Transformer++ of equal size learn what comes next, offline.

    Raises:
        UserError: see :func:`argmind.quickstart.tour.tour`.
    """
    folder = None if out is None else Path(out)
    return tour(VideoDomain(), minutes=minutes, out=folder, seed=seed, silent=silent)


@dataclass(frozen=True, kw_only=True)
class VideoSizes:
    """What two CPU cores can train in minutes."""

    image_size: int = 16
    frames: int = 16
    side: float = 0.45  # of the digit, as a share of the frame's
    eval_clips: int = 96
    batch_size: int = 16
    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 96
    lr: float = 6e-3

    def settings(self, transformer: str) -> list[str]:
        """As settings of a recipe whose transformer stands at this place."""
        return [
            "data.scene=turning",
            f"data.scene.side={self.side!r}",
            f"data.image_size={self.image_size}",
            f"data.frames={self.frames}",
            f"data.eval_clips={self.eval_clips}",
            f"training.batch_size={self.batch_size}",
            f"optimizer.lr={self.lr!r}",
            f"{transformer}.num_layers={self.num_layers}",
            f"{transformer}.num_heads={self.num_heads}",
            f"{transformer}.hidden_dim={self.hidden_dim}",
        ]


class VideoDomain(Domain):
    """EBT against a regression Transformer++ on a digit that turns by chance."""

    name = "video"
    entrants = (
        Entrant(label="EBT", key="ebt"),
        Entrant(
            label="Transformer++",
            key="tpp",
            folder="transformer_pp",
            width="predictor.transformer.feedforward.multiplier",
        ),
    )
    unit = "clips"
    evaluated = False
    most_epochs = 100

    def __init__(self, sizes: VideoSizes | None = None) -> None:
        self.sizes = sizes or VideoSizes()

    def require(self) -> None:
        """Refuse where digits or pictures are out of reach."""
        optional_module("sklearn.datasets", "the digits that fly", "image")
        optional_module("PIL.Image", "pictures in the quickstart's report", "image")

    def recipes(self) -> tuple[Recipe, ...]:
        """``video_ebt`` and ``video_transformer_pp``, made small."""
        thinker, rival = (
            customised(find_recipe(name), None, self.sizes.settings(place))
            for name, place in (
                ("video_ebt", "predictor.body.transformer"),
                ("video_transformer_pp", "predictor.transformer"),
            )
        )
        # The rest of the optimiser and of the batches is the thinker's too: equal terms.
        return thinker, replace(
            rival, data=thinker.data, optimizer=thinker.optimizer, training=thinker.training
        )

    def describe(self, data: Any) -> str:
        """The clips."""
        sizes = self.sizes
        return (
            f"Clips of {sizes.frames} frames of {sizes.image_size}×{sizes.image_size} pixels: a "
            "handwritten digit flies, bounces off the walls and, where it would first leave its "
            "quarter of the frame, turns left or right by chance. New clips for every step, "
            f"{data.evaluation_samples} others, of digits not learnt from, held out."
        )

    def study(self, trained: Trained, clock: Clock, screen: Screen) -> Study:
        """Measure, roll out, picture, and tell."""
        return VideoStudy(trained, screen).run(clock, self.describe(trained.data))
