"""Image runs side by side: on the same problems, and at equal cost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from argmind.cli._comparison import (
    Contender,
    Measure,
    at_equal_costs,
    contender,
    equal_table,
    notes_on_curves,
    notes_on_parameters,
    parameter_ratios,
)
from argmind.cli._image_eval import held_out_images, measured_images, plain_images
from argmind.cli._image_tables import PSNR, cost_table, psnr_table
from argmind.errors import UserError
from argmind.image.run import ImageRun
from argmind.thinking.budget import Budget

_DECIBELS = Measure(
    key=PSNR,
    unit="PSNR/dB",
    logged=PSNR,
    value=lambda row: row.scores[PSNR],
    minus=lambda row, other: row.minus_score(PSNR, other),
    more_is_better=True,
    digits=2,
)


def show_comparison(
    opened: Sequence[ImageRun], budgets: Sequence[Sequence[Budget]], args: argparse.Namespace
) -> None:
    """Measure all runs on the problems of the first and set them side by side.

    Raises:
        UserError: their images are not of one size.
    """
    first = opened[0]
    for one in opened[1:]:
        if one.shape != first.shape:
            raise UserError(
                f"{first.run.folder} is a run on images of {_size(first)} and {one.run.folder} one "
                f"on {_size(one)}: compare runs on images of one size."
            )
    data = held_out_images(first, args)
    runs: list[Contender] = []
    for one, asked in zip(opened, budgets, strict=True):
        rows = measured_images(one, data, asked, args)
        batch_size = one.run.recipe.training.batch_size
        runs.append(contender(one.run, rows, _DECIBELS, one.blank(batch_size), batch_size))
    plain: dict[str, Any] = {
        "reference": runs[0].name,
        "data": data.name,
        "images": data.count,
        "runs": [_plain_run(one, runs[0]) for one in runs],
        "equal_parameters": {"ratio": parameter_ratios(runs)},
    }
    others = [one for one in runs if one.run.data_fingerprint != runs[0].run.data_fingerprint]
    if not others:
        plain |= at_equal_costs(_DECIBELS, runs)
    plain["notes"] = _notes(plain, others)
    labelled = [(one.name, row) for one in runs for row in one.rows]
    table = psnr_table(labelled, f"{data.name}: {data.count} images", runs[0].trained)

    def show(out: Console) -> None:
        out.print(cost_table(plain["runs"]))
        out.print(table)
        if not others:
            out.print(equal_table(plain, _DECIBELS))
        for note in plain["notes"]:
            out.print(f"note: {note}", style="yellow")

    args.screen.result(plain, show)


def _plain_run(one: Contender, reference: Contender) -> dict[str, Any]:
    rows = [plain_images(row) for row in one.rows]
    for plain, row in zip(rows, one.rows, strict=True):
        if row is not reference.trained:
            difference, words = _DECIBELS.against(row, reference.trained)
            plain["psnr_difference"], plain["verdict"] = difference, words
    return {
        "run": one.name,
        "step": one.run.step,
        "parameters": one.run.parameters,
        "images_seen": int(one.costs["data"]),
        "training_flops": one.costs["flops"],
        "training_seconds": one.costs["seconds"],
        "rows": rows,
    }


def _notes(plain: dict[str, Any], others: Sequence[Contender]) -> list[str]:
    strange = [
        f"{one.name} was trained on other data, another task or another part of it than the first: "
        "what that held out this may have seen, and nothing is said about equal data, FLOPs or "
        "time."
        for one in others
    ]
    return [*notes_on_parameters(plain), *(strange or notes_on_curves(plain))]


def _size(run: ImageRun) -> str:
    channels, height, width = run.shape
    return f"{height}x{width} with {channels} channel{'' if channels == 1 else 's'}"
