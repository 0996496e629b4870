"""Options that name a run and data to measure it on, and the run that they open."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, TypeVar

from argmind.cli._parser import Parser, checkpoint, whole
from argmind.errors import UserError

if TYPE_CHECKING:
    from argmind.image.run import ImageRun
    from argmind.reasoning.run import ReasoningRun
    from argmind.text.run import TextRun
    from argmind.video.run import VideoRun

R = TypeVar("R")

#: What is done with a run of each kind, beside measuring it.
_USES = {
    "text": "`argmind generate` and `argmind think` are for text.",
    "images": "`argmind denoise` and `argmind sample` are for images.",
    "clips": "`argmind imagine` is for clips.",
    "reasoning": "`argmind solve` is for puzzles.",
    "demonstrations": "`argmind rollout` lets a policy act.",
}


def add_checkpoint(parser: Parser) -> None:
    """``--which --device``."""
    parser.add_argument(
        "--which", type=checkpoint, default="best", help="checkpoint: best, last or a step"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def add_held_out(parser: Parser) -> None:
    """``--data --field --limit --batch-size --seed``."""
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="data to measure on: file, folder, glob, hf:NAME, python (text) or digits (images), "
        ".npy or .safetensors (clips); without it, or where it is what the run was trained on, "
        "the part that the run held out",
    )
    parser.add_argument(
        "--field", metavar="F", help="where text or image stands in records; else as in training"
    )
    parser.add_argument(
        "--limit", type=whole(1), default=256, metavar="N", help="samples to measure on, at most"
    )
    parser.add_argument(
        "--batch-size", type=whole(1), default=8, metavar="B", help="samples at a time"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the thinking's own draws")


def add_changes(parser: Parser) -> None:
    """``--set``, of what images are made into, and what clips are made of."""
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="A.B=VALUE",
        help="measure on something else than trained: of images another task, such as "
        "data.task.level=1.0; of clips another scene or fewer frames, such as data.scene=turning",
    )


def refuse_changes(args: argparse.Namespace) -> None:
    """Where there is nothing to change.

    Raises:
        UserError: ``--set`` was given.
    """
    if args.set:
        raise UserError(
            "--set changes the task of image runs and the scene of clips, and this is a run on "
            "text."
        )


def open_any_run(
    run: str, args: argparse.Namespace
) -> TextRun | ImageRun | VideoRun | ReasoningRun:
    """The run with the checkpoint and on the device that the options name.

    Raises:
        UserError: no such run, or one that is measured in another way.
    """
    from argmind.image.run import ImageRun
    from argmind.reasoning.run import ReasoningRun
    from argmind.text.run import TextRun
    from argmind.video.run import VideoRun

    opened = _open(run, args)
    if not isinstance(opened, (TextRun, ImageRun, VideoRun, ReasoningRun)):
        raise _unfit(run, opened, "and this is for text, images, clips and reasoning problems.")
    return opened


def open_comparable_run(run: str, args: argparse.Namespace) -> TextRun | ImageRun | VideoRun:
    """A run on text, images or clips, as :func:`open_any_run`.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.reasoning.run import ReasoningRun

    opened = open_any_run(run, args)
    if isinstance(opened, ReasoningRun):
        raise _unfit(
            run, opened, "and this is for text, images and clips. `argmind eval` measures it,"
        )
    return opened


def open_text_run(run: str, args: argparse.Namespace) -> TextRun:
    """A run on text.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.text.run import TextRun

    return _opened_as(TextRun, run, args, "which reads no text.")


def open_image_run(run: str, args: argparse.Namespace) -> ImageRun:
    """A run on images.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.image.run import ImageRun

    return _opened_as(ImageRun, run, args, "which takes no images.")


def open_video_run(run: str, args: argparse.Namespace) -> VideoRun:
    """A run on clips.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.video.run import VideoRun

    cannot = "which knows no clips: train a recipe such as video_ebt."
    return _opened_as(VideoRun, run, args, cannot)


def open_reasoning_run(run: str, args: argparse.Namespace) -> ReasoningRun:
    """A run on reasoning problems.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.reasoning.run import ReasoningRun

    cannot = "which solves no puzzles: train a recipe such as reasoning_sudoku_ebt."
    return _opened_as(ReasoningRun, run, args, cannot)


def _open(run: str, args: argparse.Namespace) -> Any:
    """The loaded run; what was noted while loading is said."""
    from argmind.api import load

    opened = load(run, which=args.which, device=args.device)
    for note in getattr(opened, "run", opened).notes:
        args.screen.note(note)
    return opened


def _opened_as(wanted: type[R], run: str, args: argparse.Namespace, cannot: str) -> R:
    """The loaded run, if it is of the wanted kind."""
    opened = _open(run, args)
    if not isinstance(opened, wanted):
        raise _unfit(run, opened, cannot)
    return opened


def _unfit(run: str, opened: Any, why: str) -> UserError:
    """A run of another kind than is asked for, and what there is for it."""
    kind = kind_of(opened)
    return UserError(f"{run} is a run on {kind}, {why} {_USES.get(kind, '')}".rstrip())


def kind_of(opened: Any) -> str:
    """What a run was trained on, whether it was opened for a use or not."""
    return getattr(opened, "run", opened).recipe.data.part_name
