"""Solvers' budgets and what they reached, as a table for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from argmind.eval.statistics import Interval
from argmind.report.reasoning_data import ReasoningReport


def solved_table(title: str, report: ReasoningReport) -> Table:
    """A line per model and budget, a column per split; the thinker as trained stands out."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("model steps × candidates", no_wrap=True)
    for split in report.splits:
        table.add_column(f"{split}, solved / %", justify="right")
    for head in ("NFE", "ms/puzzle"):
        table.add_column(head, justify="right", no_wrap=True)
    first = [row for row in report.rows if row.split == report.splits[0]]
    for row in first:
        every = [
            other.solved
            for split in report.splits
            for other in report.of(split, row.model, row.candidates)
            if other.steps == row.steps
        ]
        asked = "one pass" if row.steps is None else f"{row.steps} × {row.candidates}"
        trained = (row.model, row.steps, row.candidates) == (
            report.thinker,
            report.trained_steps,
            1,
        )
        cost = (f"{row.nfe:.0f}", f"{row.ms_per_problem:.2f}")
        style = "bold" if trained else None
        table.add_row(f"{row.model} {asked}", *map(_cell, every), *cost, style=style)
    return table


def _cell(share: Interval) -> str:
    value = f"{100 * share.value:.1f}"
    if share.low is None or share.high is None:
        return value
    return f"{value} ({100 * share.low:.1f}…{100 * share.high:.1f})"
