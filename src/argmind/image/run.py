"""A loaded image run: images in, predictions out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argmind.config import part_config
from argmind.data.base import Batch
from argmind.data.datasets.images import CLASSES_FILE, UNIT_FILE
from argmind.data.draws import RowDraws
from argmind.data.images.decode import Fit, Shape
from argmind.data.images.labels import class_number
from argmind.data.order import row_seeds
from argmind.data.storage import read_record
from argmind.data.tasks.denoise import Denoise
from argmind.diffusion.noise_level import noise_level
from argmind.errors import UserError
from argmind.image.read import Read, read_images
from argmind.predictors.base import Prediction
from argmind.predictors.dit import DiT
from argmind.runs import LoadedRun, Which, load_run
from argmind.thinking.budget import Budget

#: What random numbers of an image are drawn for.
_PROBLEM, _THINKING = 2, 3


@dataclass(frozen=True)
class ImageRun:
    """A run on images; of every model alike, since all of them are predictors."""

    run: LoadedRun
    classes: tuple[str, ...]
    #: Of a run on latents: what of them is 1 to the model.
    unit: float | None = None

    @property
    def predictor(self) -> Any:
        """The model itself."""
        return self.run.predictor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its images."""
        size = self.run.inputs["image_size"]
        return self.run.inputs["channels"], size, size

    @property
    def task(self) -> Any:
        """The config of what it was trained to do."""
        return getattr(self.run.recipe.data, "task")  # noqa: B009

    @property
    def tells_classes(self) -> bool:
        """Is the model told what class an image is of?"""
        config: Any = self.run.recipe.predictor
        return bool(self.classes) and any(
            getattr(one, "tell_label", False) for one in (config, _space(config))
        )

    def blank(self, count: int) -> Batch:
        """A batch of nothing, as long and wide as a real one."""
        batch = self.as_trained(torch.zeros(count, *self.shape))
        return {**batch, "label": torch.zeros(count, dtype=torch.long)}

    # -------------------------------------------------------------- images in

    def read(
        self, given: Any, *, fit: Fit | None = None, convert: bool = False, skip_bad: bool = False
    ) -> Read:
        """Images as the model takes them.

        Args:
            given: a file, folder or glob; arrays (H, W) or (H, W, C), whole 0-255 or in [0, 1]; or
                latents (N, C, H, W), for a run on them.
            fit: what to do with images of another size; None: as in training.
            convert: give up colours, transparency and bits as needed, as in training at least.
            skip_bad: leave damaged images out.

        Raises:
            UserError: nothing usable is there.
        """
        data: Any = self.run.recipe.data
        channels, size, _ = self.shape
        shape = Shape(
            image_size=size,
            channels=channels,
            fit=fit or data.fit,
            convert=convert or data.convert,
        )
        return read_images(given, shape, self.unit, skip_bad)

    # -------------------------------------------------------------- problems

    def noisy(self, clean: Tensor, std: float, seed: int = 0) -> Batch:
        """Problems made of clean images by adding noise, the way the run was trained with.

        Raises:
            UserError: a std that the run's way of adding noise does not have.
        """
        task = self.task if self.task.part_name == "denoise" else part_config("task", "denoise")
        if std < 0 or (task.noise == "ddpm" and std > 1):
            raise UserError(f"noise of std {std} cannot be added; with task.noise=ddpm at most 1.")
        levels = torch.full((len(clean),), float(std))
        draws = RowDraws(seed, _PROBLEM, range(len(clean)))
        return {
            "clean": clean,
            "given": Denoise(task).noisy(clean, levels, draws),
            "level": levels,
        }

    def as_trained(self, clean: Tensor, seed: int = 0) -> Batch:
        """Problems made of clean images as in training."""
        draws = RowDraws(seed, _PROBLEM, range(len(clean)))
        return {"clean": clean, **self.task.build().problems(clean, draws)}

    def given(self, images: Tensor, level: float | None = None) -> Batch:
        """Images that have noise already; its ``level`` is estimated unless it is told.

        Raises:
            UserError: images of another shape, or with values that are not finite.
        """
        if images.shape[1:] != self.shape:
            raise UserError(
                f"{self.run.folder} takes images of {self.shape}, got {tuple(images.shape)[1:]}."
            )
        if not images.isfinite().all():
            count = int((~images.isfinite()).sum())
            raise UserError(f"{count} values of the given images are NaN or infinite.")
        levels = noise_level(images) if level is None else torch.full((len(images),), float(level))
        return {"clean": images, "given": images, "level": levels}

    # -------------------------------------------------------------- predictions

    def predict(
        self, batch: Batch, budget: Budget | None = None, *, seed: int = 0, first: int = 0
    ) -> Prediction:
        """Answer problems; each draws from a stream of its own, whatever its neighbours.

        Args:
            first: number of the first of them, where they are predicted in parts.
        """
        device = self.run.device
        problem, _ = self.predictor.task({name: x.to(device) for name, x in batch.items()})
        seeds = row_seeds(seed, _THINKING, range(first, first + len(batch["clean"])))
        draws = [torch.Generator(device).manual_seed(one) for one in seeds.tolist()]
        return self.predictor.predict(problem, budget or Budget(), draws)

    def denoise(
        self,
        images: Any,
        budget: Budget | None = None,
        *,
        level: float | None = None,
        seed: int = 0,
        **thinking: Any,
    ) -> Prediction:
        """Noisy images made clean: ``output`` (B, C, H, W) in [-1, 1], with energy, steps and NFE.

        Latents come, and go, in multiples of ``unit``; read ones are divided by it.

        Args:
            images: (B, C, H, W) in [-1, 1], or whatever :meth:`read` takes.
            level: std of their noise in [-1, 1] units; None: it is estimated.
            thinking: fields of :class:`Budget`: ``denoise(images, steps=4)``.

        Raises:
            UserError: images or a budget that cannot be used, or a run not made for this.
        """
        self.require_denoiser()
        clean = images if isinstance(images, Tensor) else self.read(images).images
        return self.predict(self.given(clean, level), _budget(budget, thinking), seed=seed)

    def sample(
        self,
        classes: int | Sequence[str | int],
        budget: Budget | None = None,
        *,
        seed: int = 0,
        **thinking: Any,
    ) -> Prediction:
        """Images out of nothing.

        Args:
            classes: a class for each, by name or number; or how many are wanted, of any class.
            thinking: fields of :class:`Budget`.

        Raises:
            UserError: no such class, a budget that cannot be used, or a run not made for this.
        """
        self.require_generator()
        batch = self.asked(classes)
        return self.predict(batch, _budget(budget, thinking), seed=seed)

    def asked(self, classes: int | Sequence[str | int]) -> Batch:
        """The problems of :meth:`sample`.

        Raises:
            UserError: no such class.
        """
        anything = isinstance(classes, int)
        count = classes if anything else len(classes)
        # A model that is told no class, or -1 for one, draws any.
        numbers = [-1] * count if anything else [self.class_number(name) for name in classes]
        return {"clean": torch.zeros(count, *self.shape), "label": torch.tensor(numbers)}

    def class_number(self, name: str | int) -> int:
        """The number of a class.

        Raises:
            UserError: there is none of this name or number, or the model was not told classes.
        """
        number = class_number(str(name), self.classes)
        if not self.tells_classes:
            raise UserError(
                f"{self.run.folder} was not told the classes of its images: leave out the class, "
                "or train with tell_label=true."
            )
        return number

    # -------------------------------------------------------------- what it can do

    def require_denoiser(self) -> None:
        """Refuse a run that takes no image.

        Raises:
            UserError: it draws images out of nothing.
        """
        if self.task.part_name == "generate" and not self._walks_noise:
            raise UserError(
                f"{self.run.folder} was trained to draw images out of nothing: use `argmind "
                "sample`, or train a recipe on data.task=denoise."
            )

    def require_generator(self) -> None:
        """Refuse a run that needs an image.

        Raises:
            UserError: it starts from a given image.
        """
        if self.task.part_name != "generate" and not self._walks_noise:
            raise UserError(
                f"{self.run.folder} was trained on the task '{self.task.part_name}' and needs an "
                "image to start from: use `argmind denoise`, or train a recipe on "
                "data.task=generate."
            )

    @property
    def _walks_noise(self) -> bool:
        """A diffusion model learns every noise level: it can take up an image, or do without."""
        return isinstance(self.predictor, DiT)


def _space(config: Any) -> Any:
    """The space of an energy model's config; other models have none."""
    return getattr(config, "space", None)


def _budget(budget: Budget | None, thinking: dict[str, Any]) -> Budget:
    try:
        return budget or Budget(**thinking)
    except (TypeError, ValueError) as error:
        raise UserError(f"budget: {error}") from error


def load_image_run(
    folder: str | Path, *, which: Which | int = "best", device: str = "auto"
) -> ImageRun:
    """Load an image run and the names of its classes.

    Raises:
        UserError: see :func:`argmind.runs.load_run`; or the names are missing or damaged.
    """
    run = load_run(folder, which=which, device=device)
    path, unit = Path(folder) / CLASSES_FILE, Path(folder) / UNIT_FILE
    try:
        classes = tuple(read_record(path))
        path = unit if unit.exists() else path
        return ImageRun(run, classes, read_record(unit) if unit.exists() else None)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}); restore it from a copy.") from error
