"""What a user sees of a run: a live bar, plain lines, or nothing."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBar

from argmind.train.metrics import Values

if TYPE_CHECKING:
    from argmind.train.trainer import TrainOutcome


class Progress:
    """What the trainer reports, only in the main process; this one says nothing."""

    def start(self, step: int, steps: int) -> None:
        """Training begins after ``step`` of ``steps`` steps."""

    def advance(self, step: int) -> None:
        """``step`` steps are done."""

    def log(self, step: int, values: Values) -> None:
        """A training line: means since the last one, and timing."""

    def evaluated(self, step: int, values: Values, is_best: bool) -> None:
        """An evaluation is done."""

    def note(self, text: str) -> None:
        """Something out of the ordinary."""

    def finish(self, outcome: TrainOutcome) -> None:
        """Training ended in good order."""

    def close(self) -> None:
        """Training ended, in good order or not."""


class PlainProgress(Progress):
    """A line per log point, for files and pipes."""

    def __init__(self, unit: str = "predictions", stream: TextIO | None = None) -> None:
        self._unit = unit
        self._stream = stream or sys.stderr
        self._steps = 0
        self._start_step, self._start_s = 0, 0.0

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def start(self, step: int, steps: int) -> None:
        self._start_step, self._steps, self._start_s = step, steps, time.perf_counter()
        self._say(f"step {step}/{steps}: training")

    def log(self, step: int, values: Values) -> None:
        per_step_s = (time.perf_counter() - self._start_s) / max(1, step - self._start_step)
        left_s = round(per_step_s * (self._steps - step))
        self._say(f"step {step}/{self._steps}: {figures(values, self._unit)}, {left_s} s left")

    def evaluated(self, step: int, values: Values, is_best: bool) -> None:
        self._say(f"step {step}/{self._steps}: {held_out(values, is_best)}")

    def note(self, text: str) -> None:
        self._say(f"note: {text}")

    def finish(self, outcome: TrainOutcome) -> None:
        self._say(outcome.summary())


class RichProgress(Progress):
    """A live bar with loss, speed and time left; evaluations and notes scroll by above it."""

    def __init__(self, unit: str = "predictions", console: Console | None = None) -> None:
        self._unit = unit
        self._console = console or Console(stderr=True)
        self._bar = RichBar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None

    def start(self, step: int, steps: int) -> None:
        self._task = self._bar.add_task("training", total=steps, completed=step, figures="")
        self._bar.start()

    def advance(self, step: int) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=step)

    def log(self, step: int, values: Values) -> None:  # noqa: ARG002
        if self._task is not None:
            self._bar.update(self._task, figures=figures(values, self._unit))

    def evaluated(self, step: int, values: Values, is_best: bool) -> None:
        self._console.print(f"step {step}: {held_out(values, is_best)}", highlight=False)

    def note(self, text: str) -> None:
        self._console.print(f"note: {text}", style="yellow", markup=False)

    def finish(self, outcome: TrainOutcome) -> None:
        self._bar.stop()
        self._console.print(outcome.summary(), highlight=False, markup=False)

    def close(self) -> None:
        self._bar.stop()


def progress_for(silent: bool = False, unit: str = "predictions") -> Progress:
    """The fitting one: live on a terminal, plain lines elsewhere; always on stderr."""
    if silent:
        return Progress()
    return RichProgress(unit) if sys.stderr.isatty() else PlainProgress(unit)


def figures(values: Values, unit: str) -> str:
    """``loss 2.3456, 12,345 tokens/s`` with what is known."""
    parts = [f"loss {_number(values.get('loss'))}"]
    speed = values.get("predictions_per_s")
    if speed is not None:
        parts.append(f"{speed:,.0f} {unit}/s")
    used = values.get("flops_utilisation")
    if used is not None:
        parts.append(f"{used:.0%} of peak")
    if values.get("skipped"):
        parts.append(f"{values['skipped']} steps skipped")
    return ", ".join(parts)


def held_out(values: Values, is_best: bool) -> str:
    """``held-out 2.3456 nats (best)``: the first of the values, which decides."""
    metric, value = next(iter(values.items()))
    return f"held-out {_number(value)} {metric}{' (best)' if is_best else ''}"


def _number(value: float | int | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"
