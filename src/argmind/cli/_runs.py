"""Options that name a run and text to measure it on, and what they open."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parser, checkpoint, whole
from argmind.errors import UserError

if TYPE_CHECKING:
    from argmind.cli._screen import Screen
    from argmind.data.base import Batch
    from argmind.data.datasets.text import TextData
    from argmind.text.run import TextRun


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
        help="text to measure on: file, folder, glob, hf:NAME or python; without it, or where it "
        "is what the run was trained on, the part that the run held out",
    )
    parser.add_argument("--field", default="text", help="where the text stands in records")
    parser.add_argument(
        "--limit", type=whole(1), default=256, metavar="N", help="sequences to measure on, at most"
    )
    parser.add_argument(
        "--batch-size", type=whole(1), default=8, metavar="B", help="sequences at a time"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the thinking's own draws")


def open_run(run: str, args: argparse.Namespace) -> TextRun:
    """The run with the checkpoint and on the device that the options name."""
    from argmind.text.run import load_text_run

    opened = load_text_run(run, which=args.which, device=args.device)
    for note in opened.run.notes:
        args.screen.note(note)
    return opened


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
    own = args.data is None or _same(args.data, config.source)  # type: ignore[attr-defined]
    opened = _own if own else _named
    batches, name = opened(run, args)
    targets = [batch["tokens"][:, 1:] for batch in batches]
    read_bytes = sum(run.tokenizer.byte_length(target.numpy()) for target in targets)
    return HeldOut(name, batches, read_bytes / sum(target.numel() for target in targets))


def _same(given: str, source: str) -> bool:
    """Whether both name one thing: training text is no text to measure on."""
    return given == source or Path(given).resolve() == Path(source).resolve()


def _own(run: TextRun, args: argparse.Namespace) -> tuple[list[Batch], str]:
    recipe = run.run.recipe
    config: Any = recipe.data
    try:
        data: TextData = _reading(
            args.screen,
            lambda progress: config.build(
                seed=recipe.training.seed, tokenizer=run.tokenizer, progress=progress
            ),
        )
    except UserError as error:
        raise UserError(f"{error} Name text to measure on with --data.") from error
    if data.fingerprint != run.run.data_fingerprint:
        raise UserError(
            f"what {run.run.folder} held out of its data is not known: '{config.source}' is not "
            "the text that it was trained on. Name text to measure on with --data."
        )
    name = config.eval_source or f"the held-out part of {config.source}"
    return list(data.evaluation(args.batch_size, args.limit)), name


def _named(run: TextRun, args: argparse.Namespace) -> tuple[list[Batch], str]:
    from argmind.data.sources import open_source
    from argmind.data.windows import evaluation_windows

    source = open_source(args.data, args.field)
    windows = _reading(
        args.screen,
        lambda progress: evaluation_windows(
            source, run.tokenizer, run.context_tokens, progress=progress
        ),
    )
    return list(windows.batches(args.batch_size, args.limit)), source.name


def _reading(screen: Screen, read: Callable[[Any], Any]) -> Any:
    with screen.reading() as progress:
        return read(progress)
