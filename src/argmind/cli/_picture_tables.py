"""Tables of runs on images and clips: scores by budget, and what training took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from argmind.cli._comparison import Measure
from argmind.cli._pictures import Problems
from argmind.eval.budgets import Measured
from argmind.eval.statistics import Interval


def score_table(
    labelled: Sequence[tuple[str, Measured]],
    data: Problems,
    judged_by: Measure,
    title: str,
    reference: Measured | None = None,
) -> Table:
    """A line per budget; with ``reference`` the differences from it too."""
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption=f"ranges: 95 %, over {data.items}; {data.legend}",
        caption_justify="left",
    )
    names = reference is not None
    heads = ["run"] if names else []
    # Energies of different models mean different things.
    heads += ["steps", "cand.", judged_by.unit, "against first" if names else "energy"]
    heads += data.cells(labelled[0][1])
    for head in heads:
        table.add_column(head, justify="left" if head == "run" else "right", overflow="fold")
    digits = judged_by.digits
    for label, row in labelled:
        cells = [label] if names else []
        cells += [str(row.steps), str(row.budget.candidates), _ranged(judged_by.value(row), digits)]
        if reference is None:
            cells.append(f"{row.energy.value:.3f}")
        else:
            apart = judged_by.minus(row, reference).value
            cells.append("" if row is reference else f"{apart:+.{digits}f}")
        table.add_row(*cells, *data.cells(row).values())
    return table


def _ranged(interval: Interval, digits: int) -> str:
    value = f"{interval.value:.{digits}f}"
    if interval.low is None or interval.high is None:
        return value
    return f"{value}\n{interval.low:.{digits}f}–{interval.high:.{digits}f}"


def cost_table(costs: Sequence[dict[str, Any]], items: str) -> Table:
    """A line per run: its size, and what training took."""
    table = Table(title="what each run cost", title_justify="left", box=box.SIMPLE_HEAD)
    heads = ("run", "step", "parameters", items, "FLOPs", "seconds")
    for head in heads:
        table.add_column(head, justify="left" if head == "run" else "right", overflow="fold")
    for one in costs:
        table.add_row(
            one["run"],
            str(one["step"]),
            f"{one['parameters']:,}",
            f"{one[f'{items}_seen']:,}",
            f"{one['training_flops']:.3g}",
            f"{one['training_seconds']:,.1f}",
        )
    return table
