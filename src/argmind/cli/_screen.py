"""Where a verb speaks: its result on stdout, as text or as one JSON object; all else on stderr."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from argmind.data.base import Progress as DataProgress

#: Columns of a table that is not written to a terminal.
_WIDE = 120


class Screen:
    """The two streams of a command; under torchrun only the first process has any.

    With ``as_json``, whatever prints to stdout while the verb runs goes to stderr.
    """

    def __init__(self, as_json: bool) -> None:
        self.json = as_json
        self.is_main = os.environ.get("RANK", "0") == "0"
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 is no error
                stream.reconfigure(errors="replace")
        self._stdout = sys.stdout
        self.out = _console(sys.stdout if self.is_main and not as_json else io.StringIO())
        self.err = _console(sys.stderr if self.is_main else io.StringIO())

    def __enter__(self) -> Screen:
        if self.json:
            sys.stdout = sys.stderr
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        sys.stdout = self._stdout

    @property
    def live(self) -> bool:
        """Is somebody watching a terminal?"""
        return self.is_main and sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Something the user should know, beside the result."""
        self.err.print(f"note: {text}", style="yellow")

    def result(
        self, plain: Mapping[str, Any], show: Callable[[Console], None] | None = None
    ) -> None:
        """Give the result: the object with ``--json``, else what ``show`` prints, if anything."""
        if not self.is_main:
            return
        if self.json:
            text = json.dumps(_finite(plain), allow_nan=False, ensure_ascii=False)
            print(text, file=self._stdout, flush=True)
        elif show is not None:
            show(self.out)

    @contextmanager
    def reading(self, what: str = "text") -> Generator[DataProgress | None]:
        """A bar for data being read; it shows once there is something to do.

        Text is counted in bytes, anything else in samples.
        """
        if not self.live:
            yield None
            return
        bar = Progress(
            TextColumn(f"reading {what}"),
            BarColumn(),
            DownloadColumn() if what == "text" else MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
        )

        def report(done: int, total: int | None) -> None:
            if not bar.tasks:
                bar.add_task("reading", total=total)
                bar.start()
            bar.update(bar.tasks[0].id, completed=done)

        try:
            yield report
        finally:
            bar.stop()

    @contextmanager
    def counting(self, what: str, total: int) -> Generator[Callable[[int], None]]:
        """A bar for work of a known size, given the amount done so far."""
        if not self.live:
            yield _unseen
            return
        columns = (TextColumn(what), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.err, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)


class _Console(Console):
    """A console whose broken pipe is the caller's to handle (rich would exit with code 1)."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _unseen(done: int) -> None:
    """Nobody watches."""


def _console(stream: TextIO) -> Console:
    fixed = stream.isatty() or "COLUMNS" in os.environ
    width = None if fixed else _WIDE
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def _finite(value: Any) -> Any:
    """The same with null for what JSON does not have: NaN and infinities."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
