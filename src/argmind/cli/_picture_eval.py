"""Runs on images and clips measured on held-out ones: PSNR by how much they think."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from argmind.cli._clip_data import held_out_clips
from argmind.cli._image_data import held_out_images
from argmind.cli._measure import plain_interval, rank_correlation, say_diverged
from argmind.cli._picture_tables import score_table
from argmind.cli._pictures import Problems, measure_of
from argmind.eval.budgets import Measured, measure
from argmind.image.run import ImageRun
from argmind.thinking.budget import Budget
from argmind.video.run import VideoRun

PictureRun = ImageRun | VideoRun


def show_budgets(run: PictureRun, budgets: Sequence[Budget], args: argparse.Namespace) -> None:
    """Measure every budget and give the table."""
    data = held_out(run, args)
    judged_by = measure_of(run.predictor, data.batches)
    rows = measured(run, data, budgets, args)
    plain = {
        "run": str(run.run.folder),
        "step": run.run.step,
        "parameters": run.run.parameters,
        **data.facts(),
        "seed": args.seed,
        "device": str(run.run.device),
        "rows": [plain_row(row, data) for row in rows],
    }
    title = (
        f"{run.run.folder}, step {run.run.step}, {run.run.parameters:,} parameters; "
        f"{data.name}: {data.count} {data.items}"
    )
    table = score_table([("", row) for row in rows], data, judged_by, title)
    args.screen.result(plain, lambda out: out.print(table))


def held_out(run: PictureRun, args: argparse.Namespace) -> Problems:
    """The problems that the options name, or that the run held out.

    Raises:
        UserError: they cannot be used, or are not what the run was trained on.
    """
    if isinstance(run, VideoRun):
        return held_out_clips(run, args)
    return held_out_images(run, args)


def measured(
    run: PictureRun, data: Problems, budgets: Sequence[Budget], args: argparse.Namespace
) -> list[Measured]:
    """One row per budget, on the same problems with the same draws."""
    with args.screen.counting("measuring", data.count * len(budgets)) as done:
        rows = measure(
            run.predictor,
            data.batches,
            budgets,
            seed=args.seed,
            progress=lambda index, samples: done(index * data.count + samples),
        )
    say_diverged(rows, args)
    return data.judged(rows)


def plain_row(row: Measured, data: Problems) -> dict[str, Any]:
    """A row for ``--json``."""
    return {
        "steps": row.steps,
        "candidates": row.budget.candidates,
        **{name: plain_interval(value) for name, value in row.scores.items()},
        "loss": plain_interval(row.loss),
        "nfe": row.nfe,
        "mean_steps": float(row.evaluation.steps.mean()),
        f"ms_per_{data.prediction}": row.ms_per_prediction,
        "energy": plain_interval(row.energy),
        "energy_loss_rank_correlation": rank_correlation(row),
        **data.further(row),
        "diverged": row.diverged,
    }
