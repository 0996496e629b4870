"""``argmind sample``: images out of nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budget_of
from argmind.cli._parser import Parsers, add_verb, whole
from argmind.cli._runs import add_checkpoint, open_image_run

if TYPE_CHECKING:
    from argmind.image.run import ImageRun

_COLUMNS = ("class", "energy", "steps", "nfe", "output")


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "sample",
        run,
        "draw images of a class, or of any, out of nothing",
        "argmind sample runs/image_generate_ebt-1 --class 7 --count 8 --steps 20 --trace steps.png",
        "argmind sample runs/image_generate_dit-1 --class cat --class dog --count 4 --out pets",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="NAME",
        help="class, by name or number; may be repeated; without it, any",
    )
    parser.add_argument(
        "--count", type=whole(1), default=8, metavar="N", help="images to draw, of each class"
    )
    parser.add_argument("--out", default="samples", metavar="DIR", help="folder for the images")
    parser.add_argument(
        "--trace", metavar="FILE", help="write all steps as one PNG, a row an image"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the draws")
    parser.add_argument("--batch-size", type=whole(1), default=64, metavar="B", help="at a time")
    add_budget(parser, several=False)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Think up images and write them."""
    opened = open_image_run(args.run_folder, args)
    opened.require_generator()
    names = _classes(opened, args)
    budget = budget_of(args, opened.predictor, trace=args.trace is not None)

    from argmind.cli import _image_answers as answers

    answers.make_ready(args)
    batch = opened.asked([name for name in names if name is not None] or len(names))
    prediction, seconds = answers.answered(opened, batch, budget, args)
    stems = [f"sample-{name or 'any'}" for name in names]
    written = answers.write_images(opened, Path(args.out), stems, "", prediction.output)
    if args.trace is not None:
        answers.write_trace(args.trace, answers.steps_of(prediction), args)
    plain: dict[str, Any] = {
        **answers.plain_head(opened, seconds, args),
        "images": answers.plain_answers(prediction, written),
    }
    for answer, name in zip(plain["images"], names, strict=True):
        answer["class"] = name
    args.screen.result(plain, lambda out: answers.show_answers(plain["images"], _COLUMNS, out))
    return 0


def _classes(opened: ImageRun, args: argparse.Namespace) -> list[str | None]:
    """The class of every image, by name; None: any."""
    if not args.classes:
        return [None] * args.count
    numbers = [opened.class_number(name) for name in args.classes]
    return [opened.classes[number] for number in numbers for _ in range(args.count)]
