"""Image runs measured on held-out images: PSNR by how much they think."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from argmind.cli._image_tables import psnr_table
from argmind.cli._measure import plain_interval, rank_correlation, say_diverged
from argmind.cli._runs import is_own, reading, require_same
from argmind.config import override
from argmind.data.base import Batch
from argmind.data.datasets.images import ImageData, Images, evaluation_batches, open_images
from argmind.data.order import epoch_order
from argmind.errors import UserError
from argmind.eval.budgets import Measured, measure
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
    rows = measured_images(run, data, budgets, args)
    plain = {
        "run": str(run.run.folder),
        "step": run.run.step,
        "parameters": run.run.parameters,
        "data": data.name,
        "images": data.count,
        "seed": args.seed,
        "device": str(run.run.device),
        "rows": [plain_images(row) for row in rows],
    }
    title = (
        f"{run.run.folder}, step {run.run.step}, {run.run.parameters:,} parameters; "
        f"{data.name}: {data.count} images"
    )
    args.screen.result(plain, lambda out: out.print(psnr_table([("", row) for row in rows], title)))


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
            args.data, config, dict(run.run.inputs), classes, progress=progress, unit=run.unit
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


def measured_images(
    run: ImageRun, data: HeldOutImages, budgets: Sequence[Budget], args: argparse.Namespace
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
    return rows


def plain_images(row: Measured) -> dict[str, Any]:
    """A row for ``--json``."""
    return {
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
