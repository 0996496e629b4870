"""The quickstart of images: scikit-learn's handwritten digits, with noise to be taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argmind.data.base import optional_module
from argmind.quickstart.base import Domain, Entrant, Study, Trained
from argmind.quickstart.image_study import ImageStudy
from argmind.quickstart.pace import Clock
from argmind.quickstart.screen import Screen
from argmind.quickstart.tour import tour
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.registry import register

_FEEDFORWARD = "predictor.transformer.feedforward.multiplier"


@register("quickstart", "image")
def image_quickstart(
    *, minutes: float = 5.0, out: str | Path | None = None, seed: int = 0, silent: bool = False
) -> dict[str, Any]:
    """An EBT, a DiT and a plain regression of equal size learn to denoise digits, offline.

    Raises:
        UserError: see :func:`argmind.quickstart.tour.tour`.
    """
    folder = None if out is None else Path(out)
    return tour(ImageDomain(), minutes=minutes, out=folder, seed=seed, silent=silent)


@dataclass(frozen=True, kw_only=True)
class ImageSizes:
    """What two CPU cores can train in minutes."""

    image_size: int = 8
    patch: int = 4
    level: float = 0.5  # noise std trained on, where pixels span [-1, 1]
    batch_size: int = 32
    num_layers: int = 3
    num_heads: int = 4
    hidden_dim: int = 64
    lr: float = 4e-3
    ema_decay: float = 0.99  # of the diffusion model, whose 0.999 is made for longer trainings

    def settings(self, predictor: str, transformer: str) -> list[str]:
        """As settings of a recipe whose patches and transformer stand at these places."""
        return [
            "data.source=digits",
            f"data.image_size={self.image_size}",
            f"data.task.level={self.level!r}",
            f"training.batch_size={self.batch_size}",
            f"optimizer.lr={self.lr!r}",
            f"{predictor}.patch={self.patch}",
            f"{transformer}.num_layers={self.num_layers}",
            f"{transformer}.num_heads={self.num_heads}",
            f"{transformer}.hidden_dim={self.hidden_dim}",
        ]


class ImageDomain(Domain):
    """EBT against DiT and regression on digits."""

    name = "image"
    entrants = (
        Entrant(label="EBT", key="ebt"),
        Entrant(label="DiT", key="dit", folder="dit", width=_FEEDFORWARD),
        Entrant(label="Regression", key="regression", folder="regression", width=_FEEDFORWARD),
    )
    unit = "images"
    most_epochs = 200

    def __init__(self, sizes: ImageSizes | None = None) -> None:
        self.sizes = sizes or ImageSizes()

    def require(self) -> None:
        """Refuse where digits or pictures are out of reach."""
        optional_module("sklearn.datasets", "the built-in digits", "image")
        optional_module("PIL.Image", "pictures in the quickstart's report", "image")

    def recipes(self) -> tuple[Recipe, ...]:
        """``image_denoise_ebt``, ``image_denoise_dit``, ``image_denoise_regression``, small."""
        thinker = customised(
            find_recipe("image_denoise_ebt"),
            None,
            self.sizes.settings("predictor.space", "predictor.body.transformer"),
        )
        settings = self.sizes.settings("predictor", "predictor.transformer")
        dit, regression = (
            customised(find_recipe(f"image_denoise_{name}"), None, settings)
            for name in ("dit", "regression")
        )
        averaged = replace(thinker.training, ema_decay=self.sizes.ema_decay)
        # The rest of the optimiser and of the batches is the thinker's too: equal terms.
        return (
            thinker,
            replace(dit, data=thinker.data, optimizer=thinker.optimizer, training=averaged),
            replace(
                regression,
                data=thinker.data,
                optimizer=thinker.optimizer,
                training=thinker.training,
            ),
        )

    def describe(self, data: Any) -> str:
        """The images, and their noise."""
        size = data.image_size
        return (
            f"Handwritten digits of {size}×{size} pixels that come with scikit-learn, with noise "
            f"of std {self.sizes.level:g} where pixels span [-1, 1]: {data.samples_per_epoch:,} "
            f"to learn from, {data.evaluation_samples} held out."
        )

    def study(self, trained: Trained, clock: Clock, screen: Screen) -> Study:
        """Measure, picture, and tell."""
        return ImageStudy(trained, screen).run(clock, self.describe(trained.data))
