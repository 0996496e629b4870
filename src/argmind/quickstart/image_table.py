"""Budgets of denoisers and the PSNR they reached, as a table for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from argmind.quickstart.text_table import ranged
from argmind.report.image_data import ImageReport


def psnr_table(title: str, report: ImageReport) -> Table:
    """A line for each budget, a column for each noise level; the thinker as trained stands out."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("model", no_wrap=True)
    table.add_column("steps × candidates", justify="right", no_wrap=True)
    for level in report.levels:
        table.add_column(f"PSNR / dB at std {level.std:g}", justify="right")
    for head in ("NFE", "ms/image"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_row("as given", "", *(ranged(level.given, ".2f") for level in report.levels))
    for rows in zip(*(level.rows for level in report.levels), strict=True):
        row = rows[0]
        own = (row.model, row.steps, row.candidates) == (report.thinker, report.trained_steps, 1)
        table.add_row(
            row.model,
            "–" if row.steps is None else f"{row.steps} × {row.candidates}",
            *(ranged(each.psnr, ".2f") for each in rows),
            f"{row.nfe:.0f}",
            f"{row.ms_per_image:.2f}",
            style="bold" if own else None,
        )
    return table
