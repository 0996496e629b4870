"""Held-out text, as a model reads it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from argmind.cli._held_out import is_own, own_data, own_name, reading

if TYPE_CHECKING:
    from argmind.data.base import Batch
    from argmind.text.run import TextRun


@dataclass(frozen=True)
class HeldOutText:
    """Text to measure on."""

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


def held_out_text(run: TextRun, args: argparse.Namespace) -> HeldOutText:
    """The text that ``--data`` names, or what the run itself held out.

    Raises:
        UserError: there is no such text, it is too short, or it is not what the run was trained on.
    """
    opened = _own if is_own(args.data, run.run.recipe.data) else _named
    batches, name = opened(run, args)
    targets = [batch["tokens"][:, 1:] for batch in batches]
    read_bytes = sum(run.tokenizer.byte_length(target.numpy()) for target in targets)
    return HeldOutText(name, batches, read_bytes / sum(target.numel() for target in targets))


def _own(run: TextRun, args: argparse.Namespace) -> tuple[list[Batch], str]:
    config: Any = run.run.recipe.data
    data = own_data(run.run, config, "text", args, tokenizer=run.tokenizer)
    return list(data.evaluation(args.batch_size, args.limit)), own_name(config)


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
