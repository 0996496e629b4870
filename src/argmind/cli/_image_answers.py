"""What ``denoise`` and ``sample`` share: problems answered in parts, PNG files, the figures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from argmind.data.base import Batch
from argmind.data.datasets.images import pixels_of
from argmind.image.parts import joined, parts
from argmind.image.pictures import file_names, strip, write_array, write_png
from argmind.image.run import ImageRun
from argmind.predictors.base import Prediction
from argmind.thinking.budget import Budget
from argmind.train.files import explained


def make_ready(args: argparse.Namespace) -> None:
    """Make the folders that are written to, before the thinking.

    Raises:
        UserError: one of them cannot be made.
    """
    for folder in [Path(args.out), *([Path(args.trace).parent] if args.trace else [])]:
        with explained(f"folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)


def answered(
    run: ImageRun, batch: Batch, budget: Budget, args: argparse.Namespace
) -> tuple[Prediction, float]:
    """The answers to all problems, and the seconds they took."""
    said: list[Prediction] = []
    began = time.perf_counter()
    with args.screen.counting("thinking", len(batch["clean"])) as done:
        for first, part in parts(batch, args.batch_size):
            said.append(run.predict(part, budget, seed=args.seed, first=first))
            done(first + len(part["clean"]))
    return joined(said), time.perf_counter() - began


def write_images(
    run: ImageRun, folder: Path, names: Sequence[str], ending: str, images: Tensor
) -> list[str]:
    """Write every image (B, C, H, W) as PNG, every latent as .npy; returns where."""
    suffix = ".png" if run.unit is None else ".npy"
    files = [folder / name for name in file_names(names, ending + suffix)]
    for file, image in zip(files, images, strict=True):
        if run.unit is None:
            write_png(file, pixels_of(image))
        else:
            write_array(file, (image * run.unit).cpu().numpy())
    return [str(file) for file in files]


def write_trace(path: str, columns: Sequence[Tensor], args: argparse.Namespace) -> None:
    """Write the strip of all steps; of latents, the means over their channels."""
    if columns[0].shape[1] not in (1, 3):
        columns = [column.mean(1, keepdim=True) for column in columns]
    write_png(Path(path), strip([column.cpu() for column in columns]))
    args.screen.note(f"wrote {path}: a row for each image, a column for each step")


def steps_of(prediction: Prediction) -> list[Tensor]:
    """The images of every step; without any, the answer alone."""
    trace = prediction.trace
    return list(trace.outputs) if trace is not None else [prediction.output]


def shown_first(batch: Batch, prediction: Prediction) -> list[Tensor]:
    """What was given, unless the way begins with it."""
    given = batch["given"]
    start = steps_of(prediction)[0].to(given)
    return [] if torch.equal(start, given.clamp(-1, 1)) else [given]


def plain_answers(prediction: Prediction, written: Sequence[str]) -> list[dict[str, Any]]:
    """What every answer cost and how sure the model is of it, for ``--json``."""
    trace = prediction.trace
    answers: list[dict[str, Any]] = []
    for place, path in enumerate(written):
        answer: dict[str, Any] = {
            "output": path,
            "energy": float(prediction.energy[place]),
            "steps": int(prediction.steps[place]),
            "nfe": int(prediction.nfe[place]),
            "diverged": bool(prediction.diverged[place]),
        }
        if trace is not None:
            answer["energies"] = [float(energies[place]) for energies in trace.energies]
        answers.append(answer)
    return answers


def plain_head(run: ImageRun, seconds: float, args: argparse.Namespace) -> dict[str, Any]:
    """What is said of a whole command, for ``--json``."""
    return {
        "run": str(run.run.folder),
        "step": run.run.step,
        "seed": args.seed,
        "seconds": seconds,
        "trace": args.trace,
    }


def show_answers(answers: Sequence[dict[str, Any]], columns: Sequence[str], out: Console) -> None:
    """A line per image with the figures of these names, where it was written last."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    named = [name for name in columns if any(answer.get(name) is not None for answer in answers)]
    for name in named:
        words = isinstance(answers[0].get(name), str)
        table.add_column(name, justify="left" if words else "right", overflow="fold")
    for answer in answers:
        table.add_row(*(_cell(answer.get(name)) for name in named))
    out.print(table)
    diverged = sum(answer["diverged"] for answer in answers)
    if diverged:
        out.print(f"{diverged} diverged: their last finite candidate was written.", style="red")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
