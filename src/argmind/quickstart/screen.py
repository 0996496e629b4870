"""What a user sees of a quickstart: results on stdout, progress on stderr."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar

from argmind.train.progress import Progress, progress_for

#: Columns where there is no terminal that has a width.
_WIDE = 120


class Screen:
    """Two consoles; a silent one says nothing on either."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent
        self._out = _console(io.StringIO() if silent else sys.stdout)
        self._err = _console(io.StringIO() if silent else sys.stderr)

    def say(self, text: str, style: str | None = None) -> None:
        """A line on the way."""
        self._err.print(text, style=style)

    def show(self, *results: RenderableType) -> None:
        """Something the user came for."""
        self._out.print(*results, sep="\n")

    def training(self, unit: str) -> Progress:
        """Live progress of a training."""
        return progress_for(self._silent, unit)

    @contextmanager
    def counting(self, what: str, total: int) -> Generator[Callable[[int, str], None]]:
        """Progress of work of a known size, told as (done so far, what comes next).

        A bar on a terminal; elsewhere a line whenever something else comes next.
        """
        if not self._err.is_terminal:
            yield self._lines(what)
            return
        columns = (TextColumn(what), BarColumn(), TextColumn("{task.fields[now]}"))
        with RichBar(*columns, TimeRemainingColumn(), console=self._err, transient=True) as bar:
            task = bar.add_task(what, total=total, now="")
            yield lambda done, now: bar.update(task, completed=done, now=now)

    def _lines(self, what: str) -> Callable[[int, str], None]:
        said: list[str] = []

        def tell(_: int, now: str) -> None:
            if said[-1:] != [now]:
                said.append(now)
                self.say(f"{what}: {now}")

        return tell


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
