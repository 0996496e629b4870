"""Options that name a run and data to measure it on, and what they open."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from argmind.cli._parser import Parser, checkpoint, whole
from argmind.errors import UserError

if TYPE_CHECKING:
    from argmind.cli._screen import Screen
    from argmind.data.base import Batch
    from argmind.data.datasets.text import TextData
    from argmind.image.run import ImageRun
    from argmind.reasoning.run import ReasoningRun
    from argmind.runs import LoadedRun
    from argmind.text.run import TextRun
    from argmind.video.run import VideoRun

R = TypeVar("R")


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
        help="data to measure on: file, folder, glob, hf:NAME, python (text) or digits (images); "
        "without it, or where it is what the run was trained on, the part that the run held out",
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


def add_task(parser: Parser) -> None:
    """``--set``, of what images are made into."""
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="data.task.X=VALUE",
        help="images: measure on another task than trained, such as data.task.level=1.0",
    )


def refuse_task(args: argparse.Namespace) -> None:
    """Where there is no task to change.

    Raises:
        UserError: ``--set`` was given.
    """
    if args.set:
        raise UserError("--set changes the task of image runs, and this is a run on text.")


def open_any_run(run: str, args: argparse.Namespace) -> TextRun | ImageRun | ReasoningRun:
    """The run with the checkpoint and on the device that the options name.

    Raises:
        UserError: no such run, or one on data of a kind that is not known here.
    """
    from argmind.api import load
    from argmind.image.run import ImageRun
    from argmind.policy.policy import Policy
    from argmind.reasoning.run import ReasoningRun
    from argmind.text.run import TextRun
    from argmind.video.run import VideoRun

    hints = {
        Policy: " `argmind rollout` lets it act.",
        VideoRun: " `argmind imagine` goes on with clips.",
    }
    opened = load(run, which=args.which, device=args.device)
    if not isinstance(opened, (TextRun, ImageRun, ReasoningRun)):
        hint = next((said for kind, said in hints.items() if isinstance(opened, kind)), "")
        raise UserError(
            f"{run} is a run on {_kind(opened)}; this is for runs on text, images or reasoning "
            f"problems.{hint}"
        )
    for note in opened.run.notes:
        args.screen.note(note)
    return opened


def open_run(run: str, args: argparse.Namespace) -> TextRun | ImageRun:
    """A run on text or images, as :func:`open_any_run`.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.reasoning.run import ReasoningRun

    opened = open_any_run(run, args)
    if isinstance(opened, ReasoningRun):
        raise UserError(
            f"{run} is a run on {_kind(opened.run)}; this is for runs on text or images. "
            "`argmind eval` measures it, `argmind solve` lets it solve puzzles."
        )
    return opened


def open_text_run(run: str, args: argparse.Namespace) -> TextRun:
    """A run on text, as :func:`open_run`.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.text.run import TextRun

    return _only(
        TextRun,
        open_run(run, args),
        run,
        "which reads no text. `argmind denoise` and `argmind sample` are for images.",
    )


def open_image_run(run: str, args: argparse.Namespace) -> ImageRun:
    """A run on images, as :func:`open_run`.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.image.run import ImageRun

    return _only(
        ImageRun,
        open_run(run, args),
        run,
        "which takes no images. `argmind generate` and `argmind think` are for text.",
    )


def open_reasoning_run(run: str, args: argparse.Namespace) -> ReasoningRun:
    """A run on reasoning problems, as :func:`open_any_run`.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.reasoning.run import ReasoningRun

    return _only(
        ReasoningRun,
        open_any_run(run, args),
        run,
        "which solves no puzzles: train a recipe such as reasoning_sudoku_ebt.",
    )


def open_video_run(run: str, args: argparse.Namespace) -> VideoRun:
    """A run on clips with the checkpoint and on the device that the options name.

    Raises:
        UserError: it is a run on something else.
    """
    from argmind.api import load
    from argmind.video.run import VideoRun

    opened = load(run, which=args.which, device=args.device)
    if not isinstance(opened, VideoRun):
        raise UserError(
            f"{run} is a run on {_kind(opened.run)}, which knows no clips: train a recipe such as "
            "video_ebt."
        )
    for note in opened.run.notes:
        args.screen.note(note)
    return opened


def _only(wanted: type[R], opened: TextRun | ImageRun | ReasoningRun, run: str, why: str) -> R:
    """The opened run, if it is of the wanted kind; ``why`` tells what another kind cannot do."""
    if not isinstance(opened, wanted):
        raise UserError(f"{run} is a run on {_kind(opened.run)}, {why}")
    return opened


def _kind(run: Any) -> str:
    """What a run was trained on, whether it was opened for a use or not."""
    loaded: LoadedRun = getattr(run, "run", run)
    return loaded.recipe.data.part_name


@dataclass(frozen=True)
class HeldOut:
    """Text to measure on, as a model reads it."""

    name: str
    batches: list[Batch]
    bytes_per_token: float

    @property
    def sequences(self) -> int:
        """Number of windows."""
        return sum(len(batch["tokens"]) for batch in self.batches)

    @property
    def tokens(self) -> int:
        """Number of predictions."""
        return sum(batch["tokens"][:, 1:].numel() for batch in self.batches)


def held_out(run: TextRun, args: argparse.Namespace) -> HeldOut:
    """The text that ``--data`` names, or what the run itself held out.

    Raises:
        UserError: there is no such text, it is too short, or it is not what the run was trained on.
    """
    config = run.run.recipe.data
    own = is_own(args.data, config)
    opened = _own if own else _named
    batches, name = opened(run, args)
    targets = [batch["tokens"][:, 1:] for batch in batches]
    read_bytes = sum(run.tokenizer.byte_length(target.numpy()) for target in targets)
    return HeldOut(name, batches, read_bytes / sum(target.numel() for target in targets))


def is_own(given: str | None, config: Any) -> bool:
    """Is nothing named, or what the run was trained on? That is no data to measure on."""
    if given is None or given == config.source:
        return True
    return Path(given).resolve() == Path(config.source).resolve()


def _own(run: TextRun, args: argparse.Namespace) -> tuple[list[Batch], str]:
    recipe = run.run.recipe
    config: Any = recipe.data
    try:
        data: TextData = reading(
            args.screen,
            lambda progress: config.build(
                seed=recipe.training.seed, tokenizer=run.tokenizer, progress=progress
            ),
        )
    except UserError as error:
        raise UserError(f"{error} Name text to measure on with --data.") from error
    require_same(data, run.run)
    name = config.eval_source or f"the held-out part of {config.source}"
    return list(data.evaluation(args.batch_size, args.limit)), name


def require_same(data: Any, run: LoadedRun) -> None:
    """Refuse data that is not what the run was trained on: what of it was held out is not known.

    Raises:
        UserError: it is other data.
    """
    if data.fingerprint != run.data_fingerprint:
        source = getattr(run.recipe.data, "source", "")
        raise UserError(
            f"what {run.folder} held out of its data is not known: '{source}' is not the data that "
            "it was trained on. Name data to measure on with --data."
        )


def _named(run: TextRun, args: argparse.Namespace) -> tuple[list[Batch], str]:
    from argmind.data.sources import open_source
    from argmind.data.windows import evaluation_windows

    source = open_source(args.data, args.field or getattr(run.run.recipe.data, "field"))  # noqa: B009
    windows = reading(
        args.screen,
        lambda progress: evaluation_windows(
            source, run.tokenizer, run.context_tokens, progress=progress
        ),
    )
    return list(windows.batches(args.batch_size, args.limit)), source.name


def reading(screen: Screen, read: Callable[[Any], Any], what: str = "text") -> Any:
    """What ``read`` returns, given a bar for its progress."""
    with screen.reading(what) as progress:
        return read(progress)
