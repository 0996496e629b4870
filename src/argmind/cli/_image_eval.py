"""Image runs measured on held-out images: PSNR by how much they think, one run or several."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from argmind.assembly import build_objective
from argmind.cli._image_tables import PSNR, cost_table, psnr_table
from argmind.cli._measure import plain_interval, rank_correlation, say_diverged
from argmind.cli._runs import is_own, reading, require_same
from argmind.config import override
from argmind.data.base import Batch
from argmind.data.datasets.images import ImageData, Images, evaluation_batches, open_images
from argmind.data.order import epoch_order
from argmind.errors import UserError
from argmind.eval.budgets import Measured, measure
from argmind.eval.curves import seconds_at
from argmind.eval.statistics import Interval, verdict
from argmind.image.run import ImageRun
from argmind.thinking.budget import Budget

_TASK = "data.task."


@dataclass(frozen=True)
class HeldOutImages:
    """Problems to measure on."""

    name: str
    batches: list[Batch]

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(len(batch["clean"]) for batch in self.batches)


def show_budgets(run: ImageRun, budgets: Sequence[Budget], args: argparse.Namespace) -> None:
    """Measure every budget and give the table."""
    data = held_out_images(run, args)
    rows = _measured(run, data, budgets, args)
    plain = {
        "run": str(run.run.folder),
        "step": run.run.step,
        "parameters": run.run.parameters,
        "data": data.name,
        "images": data.count,
        "seed": args.seed,
        "device": str(run.run.device),
        "rows": [_plain_row(row) for row in rows],
    }
    title = (
        f"{run.run.folder}, step {run.run.step}, {run.run.parameters:,} parameters; "
        f"{data.name}: {data.count} images"
    )
    args.screen.result(plain, lambda out: out.print(psnr_table([("", row) for row in rows], title)))


def show_comparison(
    runs: Sequence[ImageRun], budgets: Sequence[Sequence[Budget]], args: argparse.Namespace
) -> None:
    """Measure all runs on the problems of the first and set them side by side.

    Raises:
        UserError: their images are not of one size.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.shape != first.shape:
            raise UserError(
                f"{first.run.folder} is a run on images of {_size(first)} and {run.run.folder} one "
                f"on {_size(run)}: compare runs on images of one size."
            )
    data = held_out_images(first, args)
    every = [_measured(run, data, asked, args) for run, asked in zip(runs, budgets, strict=True)]
    reference = _as_trained(first, every[0])
    plain: dict[str, Any] = {
        "reference": str(first.run.folder),
        "data": data.name,
        "images": data.count,
        "runs": [
            {
                **_costs(run),
                "rows": [_plain_row(row, None if row is reference else reference) for row in rows],
            }
            for run, rows in zip(runs, every, strict=True)
        ],
        "notes": _notes(runs),
    }
    labelled = [
        (str(run.run.folder), row) for run, rows in zip(runs, every, strict=True) for row in rows
    ]
    table = psnr_table(labelled, f"{data.name}: {data.count} images", reference)

    def show(out: Console) -> None:
        out.print(cost_table(plain["runs"]))
        out.print(table)
        for note in plain["notes"]:
            out.print(f"note: {note}", style="yellow")

    args.screen.result(plain, show)


def _size(run: ImageRun) -> str:
    channels, height, width = run.shape
    return f"{height}x{width} with {channels} channel{'' if channels == 1 else 's'}"


# ------------------------------------------------------------------ problems


def held_out_images(run: ImageRun, args: argparse.Namespace) -> HeldOutImages:
    """The images that ``--data`` names, or what the run held out, as problems of the run's task.

    Raises:
        UserError: they cannot be used, or are not what the run was trained on.
    """
    config = _with_task(run, args)
    opened = _own if is_own(args.data, config) else _named
    name, batches = opened(run, config, args)
    return HeldOutImages(f"{name}, {_words(config.task)}", batches)


def _with_task(run: ImageRun, args: argparse.Namespace) -> Any:
    for setting in args.set:
        if not setting.startswith((_TASK, "data.task=")):
            raise UserError(
                f"--set {setting}: only the task may be changed here, such as {_TASK}level=1.0."
            )
    return override(run.run.recipe, args.set).data


def _own(run: ImageRun, config: Any, args: argparse.Namespace) -> tuple[str, list[Batch]]:
    recipe = run.run.recipe
    trained: Any = recipe.data

    def build(which: Any) -> ImageData:
        return reading(
            args.screen,
            lambda progress: which.build(seed=recipe.training.seed, progress=progress),
            "images",
        )

    try:
        data = build(trained)
    except UserError as error:
        raise UserError(f"{error} Name images to measure on with --data.") from error
    require_same(data, run.run)
    name = trained.eval_source or f"the held-out part of {trained.source}"
    return name, list(build(config).evaluation(args.batch_size, args.limit))


def _named(run: ImageRun, config: Any, args: argparse.Namespace) -> tuple[str, list[Batch]]:
    if args.field is not None:
        config = override(config, [f"field={args.field}"])
    # Labels matter only to a model that is told them.
    classes = run.classes if run.tells_classes else ()
    stored = reading(
        args.screen,
        lambda progress: open_images(
            args.data, config, dict(run.run.inputs), classes, progress=progress
        ),
        "images",
    )
    note = stored.note(args.data)
    if note is not None:
        args.screen.note(note)
    images = Images(stored, epoch_order(0, 0, len(stored.pixels)))
    task = config.task.build()
    return args.data, list(evaluation_batches(images, task, args.batch_size, args.limit))


def _words(task: Any) -> str:
    """``denoise level=0.5``: the task, and its options that are no defaults or always matter."""
    plain = {name: value for name, value in vars(task).items() if value is not None}
    return " ".join([task.part_name, *(f"{name}={value}" for name, value in plain.items())])


# ------------------------------------------------------------------ figures


def _measured(
    run: ImageRun, data: HeldOutImages, budgets: Sequence[Budget], args: argparse.Namespace
) -> list[Measured]:
    with args.screen.counting("measuring", data.count * len(budgets)) as done:
        rows = measure(
            run.predictor,
            data.batches,
            budgets,
            seed=args.seed,
            progress=lambda index, samples: done(index * data.count + samples),
        )
    say_diverged(rows, args)
    return rows


def _as_trained(run: ImageRun, rows: Sequence[Measured]) -> Measured:
    steps = run.predictor.trained_steps
    fitting = (r for r in rows if r.steps == steps and r.budget.candidates == 1)
    return next(fitting, rows[0])


def _plain_row(row: Measured, reference: Measured | None = None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "steps": row.steps,
        "candidates": row.budget.candidates,
        **{name: plain_interval(value) for name, value in row.scores.items()},
        "loss": plain_interval(row.loss),
        "nfe": row.nfe,
        "mean_steps": float(row.evaluation.steps.mean()),
        "ms_per_image": row.ms_per_prediction,
        "energy": plain_interval(row.energy),
        "energy_loss_rank_correlation": rank_correlation(row),
        "diverged": row.diverged,
    }
    if reference is not None:
        difference = row.minus_score(PSNR, reference)
        plain["psnr_difference"] = plain_interval(difference)
        # More decibels are better, and verdicts are on losses.
        plain["verdict"] = verdict(_negated(difference), 0.0)
    return plain


def _negated(interval: Interval) -> Interval:
    low = None if interval.high is None else -interval.high
    high = None if interval.low is None else -interval.low
    return Interval(-interval.value, low, high)


def _costs(run: ImageRun) -> dict[str, Any]:
    """What a run cost up to the checkpoint that is measured."""
    recipe, step = run.run.recipe, run.run.step
    batch_size = recipe.training.batch_size
    flops = build_objective(recipe, run.predictor).training_flops(run.blank(batch_size))
    return {
        "run": str(run.run.folder),
        "step": step,
        "parameters": run.run.parameters,
        "images_seen": step * batch_size,
        "training_flops": step * flops,
        "training_seconds": float(seconds_at(run.run.folder, np.array([step]))[0]),
    }


def _notes(runs: Sequence[ImageRun]) -> list[str]:
    notes: list[str] = []
    for run in runs[1:]:
        if run.run.data_fingerprint != runs[0].run.data_fingerprint:
            notes.append(
                f"{run.run.folder} was trained on other data, another task or another part of it "
                "than the first: what that held out this may have seen."
            )
    return notes
