"""Budgets measured on held-out text, as a table and as plain data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from argmind.cli._text_data import HeldOutText
from argmind.eval.budgets import Measured, MeasuredText, measure, with_bytes
from argmind.eval.statistics import Interval, perplexity, spearman
from argmind.text.run import TextRun
from argmind.thinking.budget import Budget


def measured(
    run: TextRun, data: HeldOutText, budgets: Sequence[Budget], args: argparse.Namespace
) -> list[MeasuredText]:
    """One row per budget, on the same text with the same draws."""
    total = data.sequences
    with args.screen.counting("measuring", total * len(budgets)) as done:
        rows = measure(
            run.run.predictor,
            data.batches,
            budgets,
            seed=args.seed,
            progress=lambda index, samples: done(index * total + samples),
        )
    return with_bytes(rows, data.bytes_per_token)


def plain_row(row: MeasuredText) -> dict[str, Any]:
    """A row for ``--json``."""
    return {
        "steps": row.steps,
        "candidates": row.budget.candidates,
        "nats_per_token": plain_interval(row.nats),
        "bits_per_byte": plain_interval(row.bits_per_byte),
        "perplexity": perplexity(row.nats.value),
        "nfe": row.nfe,
        "mean_steps": float(row.evaluation.steps.mean()),
        "ms_per_token": row.ms_per_prediction,
        "energy": plain_interval(row.energy),
        "energy_loss_rank_correlation": rank_correlation(row),
        "diverged": row.diverged,
    }


def plain_interval(interval: Interval) -> dict[str, float | None]:
    """``{"value", "low", "high"}``."""
    return interval._asdict()


def budget_table(
    labelled: Sequence[tuple[str, MeasuredText]], title: str, nats: bool = True
) -> Table:
    """A line per budget; ranges stand under their figures.

    ``nats``: with what is told per token; it means nothing between tokenizers.
    """
    # Narrow enough for 80 columns.
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="ranges: 95 %, over sequences; ρ: rank correlation of energy and loss",
        caption_justify="left",
    )
    names = len({label for label, _ in labelled}) > 1
    heads = ["run"] if names else []
    heads += ["steps", "cand."]
    heads += ["nats/token"] if nats else []
    heads += ["bits/byte"]
    heads += ["perpl."] if nats and not names else []
    heads += ["NFE", "ms/token", "energy", "ρ"]
    for head in heads:
        table.add_column(head, justify="left" if head == "run" else "right", overflow="fold")
    for label, row in labelled:
        cells = [label] if names else []
        cells += [str(row.steps), str(row.budget.candidates)]
        cells += [ranged(row.nats)] if nats else []
        cells += [ranged(row.bits_per_byte)]
        cells += [f"{perplexity(row.nats.value):,.1f}"] if nats and not names else []
        cells += [f"{row.nfe:.1f}", f"{row.ms_per_prediction:.3f}", f"{row.energy.value:.3f}"]
        table.add_row(*cells, f"{rank_correlation(row):.2f}")
    return table


def ranged(interval: Interval, digits: int = 4) -> str:
    """``2.3456`` with its range on a second line."""
    value = f"{interval.value:.{digits}f}"
    if interval.low is None or interval.high is None:
        return value
    return f"{value}\n{interval.low:#.{digits}g}–{interval.high:#.{digits}g}"


def say_diverged(rows: Sequence[Measured], args: argparse.Namespace) -> None:
    """A note for predictions whose thinking left the finite numbers."""
    for row in rows:
        if row.diverged:
            args.screen.note(
                f"{row.diverged} of {row.evaluation.losses.size} predictions diverged at "
                f"{row.steps} steps, {row.budget.candidates} candidates; their last finite "
                "candidate is what was measured."
            )


def rank_correlation(row: Measured) -> float:
    """Spearman's ρ of energies and losses: do low energies mean good answers?"""
    return spearman(row.evaluation.energies, row.evaluation.losses)
