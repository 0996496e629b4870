"""Tables of image runs: PSNR by budget, and what training took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from argmind.cli._measure import rank_correlation
from argmind.eval.budgets import Measured
from argmind.eval.statistics import Interval

#: The score of a denoised image, in dB.
PSNR = "psnr"


def psnr_table(
    labelled: Sequence[tuple[str, Measured]], title: str, reference: Measured | None = None
) -> Table:
    """A line per budget; with ``reference`` the differences from it too."""
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="ranges: 95 %, over images; ρ: rank correlation of energy and loss",
        caption_justify="left",
    )
    names = reference is not None
    heads = ["run"] if names else []
    heads += ["steps", "cand.", "PSNR/dB", *(["against first"] if names else [])]
    heads += ["loss", "NFE", "ms/image", "energy", "ρ"]
    for head in heads:
        table.add_column(head, justify="left" if head == "run" else "right", overflow="fold")
    for label, row in labelled:
        cells = [label] if names else []
        cells += [str(row.steps), str(row.budget.candidates), _decibels(row.scores[PSNR])]
        if reference is not None:
            same = row is reference
            cells.append("" if same else f"{row.minus_score(PSNR, reference).value:+.2f}")
        cells += [f"{row.loss.value:.4g}", f"{row.nfe:.1f}", f"{row.ms_per_prediction:.3f}"]
        table.add_row(*cells, f"{row.energy.value:.3f}", f"{rank_correlation(row):.2f}")
    return table


def _decibels(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.value:.2f}"
    return f"{interval.value:.2f}\n{interval.low:.2f}–{interval.high:.2f}"


def cost_table(costs: Sequence[dict[str, Any]]) -> Table:
    """A line per run: its size, and what training took."""
    table = Table(title="what each run cost", title_justify="left", box=box.SIMPLE_HEAD)
    heads = ("run", "step", "parameters", "images", "FLOPs", "seconds")
    for head in heads:
        table.add_column(head, justify="left" if head == "run" else "right", overflow="fold")
    for one in costs:
        table.add_row(
            one["run"],
            str(one["step"]),
            f"{one['parameters']:,}",
            f"{one['images_seen']:,}",
            f"{one['training_flops']:.3g}",
            f"{one['training_seconds']:,.1f}",
        )
    return table
