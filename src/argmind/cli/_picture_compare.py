"""Runs on images, or on clips, side by side: on the same problems, and at equal cost."""

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
from argmind.cli._measure import plain_interval
from argmind.cli._picture_eval import PictureRun, held_out, measured, plain_row
from argmind.cli._picture_tables import cost_table, score_table
from argmind.cli._pictures import Problems, measure_of
from argmind.errors import UserError
from argmind.thinking.budget import Budget
from argmind.video.run import VideoRun


def show_comparison(
    opened: Sequence[PictureRun], budgets: Sequence[Sequence[Budget]], args: argparse.Namespace
) -> None:
    """Measure all runs on the problems of the first and set them side by side.

    Raises:
        UserError: their pictures are not alike, or what they tell of them is not.
    """
    for one in opened[1:]:
        _require_alike(opened[0], one)
    data = held_out(opened[0], args)
    judged_by = _common_measure(opened, data)
    runs: list[Contender] = []
    for one, asked in zip(opened, budgets, strict=True):
        rows = measured(one, data, asked, args)
        batch_size = one.run.recipe.training.batch_size
        runs.append(contender(one.run, rows, judged_by, one.blank(batch_size), batch_size))
    others = [one for one in runs if one.run.data_fingerprint != runs[0].run.data_fingerprint]
    plain: dict[str, Any] = {
        "reference": runs[0].name,
        **data.facts(),
        "runs": [_plain_run(one, runs[0], data, judged_by) for one in runs],
        "equal_parameters": {"ratio": parameter_ratios(runs)},
        **({} if others else at_equal_costs(judged_by, runs)),
    }
    plain["notes"] = _notes(plain, others)
    labelled = [(one.name, row) for one in runs for row in one.rows]
    title = f"{data.name}: {data.count} {data.items}"
    table = score_table(labelled, data, judged_by, title, runs[0].trained)

    def show(out: Console) -> None:
        out.print(cost_table(plain["runs"], data.items))
        out.print(table)
        if not others:
            out.print(equal_table(plain, judged_by))
        for note in plain["notes"]:
            out.print(f"note: {note}", style="yellow")

    args.screen.result(plain, show)


def _common_measure(opened: Sequence[PictureRun], data: Problems) -> Measure:
    """What all of them are judged by.

    Raises:
        UserError: that differs, or one of them cannot answer these problems.
    """
    found: list[Measure] = []
    for one in opened:
        try:
            found.append(measure_of(one.predictor, data.batches))
        except UserError as error:
            raise UserError(
                f"{one.run.folder} does not answer what the first run is asked ({data.name}): "
                f"{error}"
            ) from error
        if found[-1].key != found[0].key:
            raise UserError(
                f"{opened[0].run.folder} is judged by its {found[0].key} and {one.run.folder} by "
                f"its {found[-1].key}: compare runs that answer alike."
            )
    return found[0]


def _plain_run(
    one: Contender, reference: Contender, data: Problems, judged_by: Measure
) -> dict[str, Any]:
    rows = [plain_row(row, data) for row in one.rows]
    first = reference.trained
    for plain, row in zip(rows, one.rows, strict=True):
        if row is first:
            continue
        plain |= {
            f"{name}_difference": plain_interval(row.minus_score(name, first))
            for name in row.scores
        }
        plain[f"{judged_by.key}_difference"], plain["verdict"] = judged_by.against(row, first)
    return {
        "run": one.name,
        "step": one.run.step,
        "parameters": one.run.parameters,
        f"{data.items}_seen": int(one.costs["data"]),
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


# ------------------------------------------------------------------ what cannot be compared


def _require_alike(first: PictureRun, other: PictureRun) -> None:
    sizes = [_size(run) for run in (first, other)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"{first.run.folder} is a run on {sizes[0]} and {other.run.folder} one on {sizes[1]}: "
            "compare runs on pictures of one size."
        )
    if isinstance(first, VideoRun) and isinstance(other, VideoRun) and other.window < first.window:
        raise UserError(
            f"{other.run.folder} looks back on {other.window} frames and {first.run.folder} on "
            f"{first.window}, on whose clips all are measured: name {other.run.folder} first."
        )


def _size(run: PictureRun) -> str:
    channels, height, width = run.shape
    words = [f"{height}x{width} with {channels} channel{'' if channels == 1 else 's'}"]
    if run.unit is not None:
        words.append(f"in units of {run.unit:.6g}")
    if isinstance(run, VideoRun) and run.told_actions:
        words.append(f"told actions of {run.run.inputs['actions']} numbers")
    return f"{'clips' if isinstance(run, VideoRun) else 'images'} of {', '.join(words)}"
