"""``argmind probe``: what an image model knows of classes, by a linear probe of its features."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parsers, add_verb, whole
from argmind.cli._runs import add_checkpoint, open_image_run
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from argmind.data.datasets.images import ImageData
    from argmind.image.run import ImageRun


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "probe",
        run,
        "fit a linear probe of an image run's frozen features to classes, and judge it",
        "argmind probe runs/image_denoise_ebt-1",
        "argmind probe runs/image_denoise_dit-1 --data labelled-photos --limit 500 --json",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="images with classes, to fit to and to judge on; without it, those that the run was "
        "trained on and those that it held out",
    )
    parser.add_argument(
        "--field", metavar="F", help="where the image stands in records; else as in training"
    )
    parser.add_argument(
        "--label-field", metavar="F", help="where its class does; else as in training"
    )
    parser.add_argument(
        "--train-images", type=whole(1), default=5000, metavar="N", help="to fit to, at most"
    )
    parser.add_argument(
        "--limit", type=whole(1), default=2000, metavar="N", help="held-out images, at most"
    )
    parser.add_argument(
        "--batch-size", type=whole(1), default=100, metavar="B", help="images at a time"
    )
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Look at the images, fit, judge."""
    opened = open_image_run(args.run_folder, args)

    from argmind.eval.probe import PROTOCOL, probed

    data, name = _images(opened, args)
    total = min(args.train_images, data.samples_per_epoch)
    total += min(args.limit, data.evaluation_samples)
    with args.screen.counting("looking", total) as done:
        found = probed(
            opened.predictor,
            data,
            args.train_images,
            args.limit,
            batch_size=args.batch_size,
            scale=1.0 if data.unit is None or opened.unit is None else data.unit / opened.unit,
            progress=done,
        )
    plain = {
        "run": str(opened.run.folder),
        "step": opened.run.step,
        "parameters": opened.run.parameters,
        "data": name,
        "classes": len(data.classes),
        "accuracy": found.interval._asdict(),
        "chance": found.chance,
        "layer": found.layer + 1,
        "by_layer": {layer + 1: right for layer, right in found.by_layer.items()},
        "feature_size": found.feature_size,
        "train_images": found.train_images,
        "test_images": found.test_images,
        "protocol": PROTOCOL,
        "device": str(opened.run.device),
    }
    args.screen.result(plain, lambda out: _show(plain, out))
    return 0


# ------------------------------------------------------------------ images


def _images(opened: ImageRun, args: argparse.Namespace) -> tuple[ImageData, str]:
    """Images with classes, and what they are called.

    Raises:
        UserError: they cannot be used, have no classes, or are not what the run was trained on.
    """
    from argmind.cli._held_out import is_own, own_data
    from argmind.eval.probe import as_they_are

    config: Any = opened.run.recipe.data
    fields = {"field": args.field, "label_field": args.label_field}
    named = {name: field for name, field in fields.items() if field is not None}
    plain = replace(as_they_are(config), **named)
    if is_own(args.data, config):
        data, name = own_data(opened.run, plain, "images", args, seed=0), config.source
    else:
        data, name = _named(opened, plain, args), args.data
    if len(data.classes) < 2:
        raise UserError(
            f"{name} has no classes to be told apart: name labelled images with --data, such as a "
            "folder with a folder of each class."
        )
    return data, name


def _named(opened: ImageRun, config: Any, args: argparse.Namespace) -> ImageData:
    """Images of the size that the model takes, a part of them held out."""
    from argmind.cli._held_out import reading

    channels, size, _ = opened.shape
    latents = opened.unit is not None
    wanted = replace(
        config,
        source=args.data,
        image_size=None if latents else size,
        channels=None if latents else channels,
        eval_source=None,
        eval_limit=None,
        limit=None,
    )
    data = reading(args.screen, lambda progress: wanted.build(seed=0, progress=progress), "images")
    for note in data.notes:
        args.screen.note(note)
    kinds = {False: "images", True: "latents"}
    shape = (data.channels, data.image_size, data.image_size)
    if (data.unit is not None, shape) != (latents, opened.shape):
        raise UserError(
            f"{args.data} holds {kinds[data.unit is not None]} of {shape}, and "
            f"{opened.run.folder} takes {kinds[latents]} of {opened.shape}."
        )
    return data


# ------------------------------------------------------------------ shown


def _show(plain: dict[str, Any], out: Console) -> None:
    from argmind.cli._comparison import plain_table

    share = plain["accuracy"]
    title = f"{plain['run']}, step {plain['step']}, {plain['parameters']:,} parameters"
    table = plain_table(title, "layer", "share right of every tenth training image")
    for layer, value in plain["by_layer"].items():
        table.add_row(f"{layer}{' *' if layer == plain['layer'] else ''}", f"{value:.3f}")
    out.print(table)
    out.print(
        f"accuracy {share['value']:.3f} ({share['low']:.3f}–{share['high']:.3f}, 95 %) on "
        f"{plain['test_images']:,} held-out images of {plain['data']}, {plain['classes']} classes; "
        f"the commonest class alone {plain['chance']:.3f}"
    )
    out.print(
        f"* layer {plain['layer']} of {len(plain['by_layer'])}: {plain['feature_size']} "
        f"features, fitted to {plain['train_images']:,} images"
    )
    out.print(f"protocol: {plain['protocol']}", style="dim")
