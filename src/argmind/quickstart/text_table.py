"""Budgets and what they reached, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from argmind.eval.statistics import Interval
from argmind.report.data import BudgetRow


def budget_table(title: str, rival: BudgetRow, rows: Sequence[BudgetRow], best: int) -> Table:
    """The rival's line, then one for each budget; that of index ``best`` stands out.

    Where there is little room the ranges go under their figures.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("steps × candidates", no_wrap=True)
    for head in ("nats/token", "bits/byte", "NFE", "ms/token", f"minus {rival.model}"):
        table.add_column(head, justify="right", no_wrap=head in ("NFE", "ms/token"))
    table.add_row(rival.model, *_cells(rival), end_section=True)
    for index, row in enumerate(rows):
        asked = f"{row.model} {row.steps} × {row.candidates}"
        table.add_row(asked, *_cells(row), style="bold" if index == best else None)
    return table


def ranged(interval: Interval, form: str) -> str:
    """``2.345 (2.301…2.390)``, the numbers in this format."""
    value = format(interval.value, form)
    if interval.low is None or interval.high is None:
        return value
    return f"{value} ({interval.low:{form}}…{interval.high:{form}})"


def _cells(row: BudgetRow) -> list[str]:
    return [
        ranged(row.nats, ".3f"),
        ranged(row.bits_per_byte, ".2f"),
        f"{row.nfe:.0f}",
        f"{row.ms_per_token:.2f}",
        "–" if row.difference is None else ranged(row.difference, "+.3f"),
    ]
