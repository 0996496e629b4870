"""Held-out images, as the problems that a run's task makes of them."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from argmind.cli._held_out import changed, is_own, own_data, own_name, part_words, reading
from argmind.cli._pictures import Problems
from argmind.config import override
from argmind.data.base import Batch
from argmind.data.datasets.images import Images, evaluation_batches, open_images
from argmind.data.order import epoch_order
from argmind.image.run import ImageRun
from argmind.predictors.classifier import Classifier


class HeldOutImages(Problems):
    """Problems made of images."""

    items: ClassVar[str] = "images"
    prediction: ClassVar[str] = "image"


def held_out_images(run: ImageRun, args: argparse.Namespace) -> HeldOutImages:
    """The images that ``--data`` names, or what the run held out, as problems of the run's task.

    Raises:
        UserError: they cannot be used, or are not what the run was trained on.
    """
    config = changed(run.run, args.set, ("data.task",), "data.task.level=1.0")
    opened = _own if is_own(args.data, config) else _named
    name, batches = opened(run, config, args)
    return HeldOutImages(name=f"{name}, {part_words(config.task)}", batches=batches)


def _own(run: ImageRun, config: Any, args: argparse.Namespace) -> tuple[str, list[Batch]]:
    data = own_data(run.run, config, "images", args)
    return own_name(config), list(data.evaluation(args.batch_size, args.limit))


def _named(run: ImageRun, config: Any, args: argparse.Namespace) -> tuple[str, list[Batch]]:
    if args.field is not None:
        config = override(config, [f"field={args.field}"])
    # Labels matter only to a model that is told them, or tells them.
    labelled = run.tells_classes or isinstance(run.predictor, Classifier)
    classes = run.classes if labelled else ()
    stored = reading(
        args.screen,
        lambda progress: open_images(
            args.data, config, dict(run.run.inputs), classes, progress=progress, unit=run.unit
        ),
        "images",
    )
    note = stored.note(args.data)
    if note is not None:
        args.screen.note(note)
    images = Images(stored, epoch_order(0, 0, len(stored.pixels)))
    task = config.task.build()
    return args.data, list(evaluation_batches(images, task, args.batch_size, args.limit))
