"""Images in a shuffled order, each made into a problem, a part of them held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.config import PartConfig, part
from argmind.data.base import Batch, Progress, digest_of
from argmind.data.draws import RowDraws
from argmind.data.images import open_image_source
from argmind.data.images.base import require_kind
from argmind.data.images.decode import Fit
from argmind.data.images.store import StoredImages, Wanted, stored_images
from argmind.data.order import epoch_order, sample_at
from argmind.data.storage import write_record
from argmind.data.tasks.base import Task
from argmind.errors import UserError, unknown
from argmind.registry import register

#: What random numbers of a sample are drawn for.
_TASK, _FLIP, _LABEL = 0, 1, 4
#: Held-out problems are the same whatever the run's seed.
_EVALUATION_SEED = 0
CLASSES_FILE = "classes.json"
#: What of latents is 1 to the model.
UNIT_FILE = "unit.json"


@register("dataset", "images")
class ImageData:
    """Images in a shuffled order, made into problems by a task; some of them held out.

    Which images are held out does not depend on the seed; their problems are always the same ones.
    The problem made of a training image is a pure function of (seed, place in the endless order).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        source: str = "digits"  # digits, a folder, file or glob, latents, hf:NAME[/config][:split]
        field: str = "image"  # where the image stands in Parquet and Hub datasets
        label_field: str = "label"  # where its class does, if there are classes
        image_size: int | None = None  # side in pixels; None: as the first image is
        channels: int | None = None  # 1 or 3; None: as the first image has
        fit: Fit = "exact"  # what to do with images of another size
        convert: bool = False  # give up colours, alpha, bits beyond 8 and frames after the first
        skip_bad: bool = False  # leave damaged images out
        flip: bool = False  # mirror half of the training images
        withheld_labels: float = 0.0  # share of training images whose class is not told (-1)
        task: PartConfig = part("task", "denoise")
        eval_fraction: float = 0.1  # of the source is held out
        eval_source: str | None = None  # or other images are
        eval_limit: int | None = None  # hold out no more than this
        limit: int | None = None  # read no more of the source than this

        def __post_init__(self) -> None:
            if self.image_size is not None and self.image_size < 1:
                raise ValueError(f"image_size must be at least 1, got {self.image_size}")
            if self.channels not in (None, 1, 3):
                raise ValueError(
                    f"channels must be 1 or 3, got {self.channels}; latents "
                    "say themselves how many they have"
                )
            if not 0 <= self.withheld_labels <= 1:
                raise ValueError(f"withheld_labels must lie in [0, 1], got {self.withheld_labels}")
            if not 0 < self.eval_fraction < 1:
                raise ValueError(
                    f"eval_fraction must lie between 0 and 1, got {self.eval_fraction}; to train "
                    "on all of the source give an eval_source"
                )
            for name, least in (("eval_limit", 1), ("limit", 2)):
                limit = getattr(self, name)
                if limit is not None and limit < least:
                    raise ValueError(f"{name} must be at least {least}, got {limit}")

    def __init__(
        self,
        config: Config,
        *,
        seed: int,
        given: Any = None,
        labels: Sequence[int | str] | None = None,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Decode the images, or find them in the cache.

        Args:
            given: arrays from Python, in place of ``config.source``.
            labels: of the given arrays, one for each.
            progress: called with (images done, images in all or None) while they are decoded.

        Raises:
            UserError: images that cannot be used, fewer than two, or a package is missing.
        """
        self.config, self.seed = config, seed
        self._task: Task = config.task.build()
        wanted = Wanted(
            image_size=config.image_size,
            channels=config.channels,
            fit=config.fit,
            convert=config.convert,
            skip_bad=config.skip_bad,
            limit=config.limit,
        )
        spec = config.source if given is None else given
        source = open_image_source(spec, config.field, config.label_field, labels)
        images = stored_images(source, wanted, folder=cache_dir, progress=progress)
        notes = [images.note(source.name)]
        self.classes, self.unit = images.classes, images.unit
        self.image_size, self.channels = images.pixels.shape[-1], images.pixels.shape[1]
        if config.eval_source is None:
            training, held_out = _split(len(images.pixels), config, source.name)
            self._training = Images(images, training)
            self._evaluation = Images(images, held_out)
        else:
            others = open_images(
                config.eval_source,
                config,
                self.model_inputs,
                self.classes,
                cache_dir,
                progress,
                self.unit,
            )
            if others.source_fingerprint == images.source_fingerprint:
                raise UserError(
                    f"eval_source {config.eval_source} is what is trained on: name other images, "
                    "or leave it out to hold out a part of the source."
                )
            notes.append(others.note(config.eval_source))
            self._training = Images(images, np.arange(len(images.pixels)))
            order = epoch_order(0, 0, len(others.pixels))[: config.eval_limit]
            self._evaluation = Images(others, order)
        #: What a reader should know of images that were left out.
        self.notes = [note for note in notes if note]

    @property
    def fingerprint(self) -> str:
        """Changes when an image, the split, flips or the task does."""
        config: Any = self.config
        return digest_of(self.images_fingerprint, config.flip, repr(config.task))

    @property
    def images_fingerprint(self) -> str:
        """Changes when an image or the split does: of what models may have seen."""
        return digest_of(self._training.fingerprint, self._evaluation.fingerprint)

    @property
    def samples_per_epoch(self) -> int:
        """Training images."""
        return len(self._training)

    @property
    def evaluation_samples(self) -> int:
        """Held-out images."""
        return len(self._evaluation)

    @property
    def model_inputs(self) -> dict[str, int]:
        """What a predictor must know of the data to be built."""
        return {
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": len(self.classes),
        }

    def batch(self, first: int, count: int) -> Batch:
        """``clean`` (B, C, H, W) in [-1, 1], ``label`` (B,) where there are classes, and the task.

        For what tasks add see ``argmind.data.tasks``.
        """
        places = np.arange(first, first + count)
        mirrored = None
        if self.config.flip:
            mirrored = RowDraws(self.seed, _FLIP, places).uniform().numpy() < 0.5
        samples = sample_at(self.seed, places, len(self._training))
        batch = self._training.take(samples, mirrored)
        if "label" in batch and self.config.withheld_labels:
            told = RowDraws(self.seed, _LABEL, places).uniform() >= self.config.withheld_labels
            batch["label"] = torch.where(told, batch["label"], -1)
        return batch | self._task.problems(batch["clean"], RowDraws(self.seed, _TASK, places))

    def evaluation(self, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out images in a fixed order, at most ``limit`` of them, as fixed problems."""
        return evaluation_batches(self._evaluation, self._task, batch_size, limit)

    def save_assets(self, folder: Path) -> None:
        """Write ``classes.json``, the names of the classes, and of latents their unit."""
        write_record(folder / CLASSES_FILE, list(self.classes))
        if self.unit is not None:
            write_record(folder / UNIT_FILE, self.unit)


class Images:
    """Some of the images of a store, by their numbers."""

    def __init__(self, images: StoredImages, numbers: NDArray[np.int64]) -> None:
        self._images, self._numbers = images, numbers
        self.fingerprint = digest_of("images", images.fingerprint, numbers.tolist())

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, places: NDArray[np.int64], mirrored: NDArray[np.bool_] | None = None) -> Batch:
        """``clean``, left and right exchanged where ``mirrored``; ``label``, where it is known."""
        numbers = self._numbers[places]
        pixels = self._images.pixels[numbers]
        if mirrored is not None:
            pixels[mirrored] = pixels[mirrored][..., ::-1]
        batch = {"clean": scaled(pixels, self._images.unit)}
        if self._images.labels is not None:
            batch["label"] = torch.from_numpy(self._images.labels[numbers])
        return batch


def scaled(pixels: NDArray[Any], unit: float | None = None) -> Tensor:
    """Pixels from 0 to 255, or latents in multiples of their unit, as float32 in [-1, 1]."""
    numbers = torch.from_numpy(pixels).float()
    return numbers.div(127.5).sub_(1) if unit is None else numbers.div(unit)


def pixels_of(images: Tensor) -> NDArray[np.uint8]:
    """The inverse of :func:`scaled`; what lies outside [-1, 1] is clipped."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()


def evaluation_batches(
    images: Images, task: Task, batch_size: int, limit: int | None = None
) -> Iterator[Batch]:
    """Images as problems that are the same whoever asks."""
    count = len(images) if limit is None else min(limit, len(images))
    for first in range(0, count, batch_size):
        places = np.arange(first, min(first + batch_size, count))
        batch = images.take(places)
        draws = RowDraws(_EVALUATION_SEED, _TASK, places)
        yield batch | task.problems(batch["clean"], draws)


def open_images(
    spec: str,
    config: Any,
    inputs: dict[str, Any],
    classes: Sequence[str],
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    unit: float | None = None,
) -> StoredImages:
    """Images like those of another source: of its size and channels, with its classes.

    Args:
        config: of the data that they are to be like.
        inputs: what that says about itself.
        unit: of its latents.

    Raises:
        UserError: images that cannot be used, or of classes that are not there.
    """
    wanted = Wanted(
        image_size=inputs["image_size"],
        channels=inputs["channels"],
        fit=config.fit,
        convert=config.convert,
        skip_bad=config.skip_bad,
    )
    source = open_image_source(spec, config.field, config.label_field)
    require_kind(source, unit)
    images = stored_images(source, wanted, folder=cache_dir, progress=progress)
    images = replace(images, unit=unit)
    if not classes:
        return replace(images, labels=None, classes=())
    if images.labels is None:
        raise UserError(f"{source.name} has no classes, where the training images have.")
    for name in images.classes:
        if name not in classes:
            raise unknown(f"class of {source.name}", name, classes)
    numbers = np.array([classes.index(name) for name in images.classes])
    return replace(images, labels=numbers[images.labels], classes=tuple(classes))


def _split(
    count: int, config: ImageData.Config, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of training and of held-out images, spread over the source as by chance."""
    if count < 2:
        raise UserError(
            f"{name} holds {count} image, where at least 2 are needed: one to train on, one held "
            "out."
        )
    held_out = min(count - 1, max(1, round(count * config.eval_fraction)))
    held_out = min(held_out, config.eval_limit or held_out)
    order = epoch_order(0, 0, count)
    return np.sort(order[held_out:]), order[:held_out]
