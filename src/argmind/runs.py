"""A run on disk, loaded: the recipe, the predictor with its weights, and where they came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from argmind.assembly import build_predictor
from argmind.config import from_dict
from argmind.errors import UserError
from argmind.predictors.base import Predictor
from argmind.recipes.base import Recipe
from argmind.train.checkpoint import Checkpoint, load_weights
from argmind.train.distributed import resolve_device
from argmind.train.runfolder import RunFolder

Which = Literal["best", "last"]


@dataclass(frozen=True)
class LoadedRun:
    """A predictor ready for use, and what is known of its training."""

    folder: Path
    recipe: Recipe
    inputs: Mapping[str, Any]
    predictor: Predictor
    step: int
    #: Of the data that the run was trained on.
    data_fingerprint: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(weight.numel() for weight in self.predictor.parameters())

    @property
    def device(self) -> torch.device:
        """Where the predictor lives."""
        return next(self.predictor.parameters()).device


def read_recipe(folder: str | Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a run folder, and what the data said about itself.

    Raises:
        UserError: no run folder, or its ``recipe.json`` is missing or damaged.
    """
    path = Path(folder) / "recipe.json"
    if not Path(folder).is_dir():
        raise UserError(f"there is no run folder {folder}. `argmind train` makes one.")
    if not path.is_file():
        raise UserError(f"{folder} is no run folder: it has no recipe.json.")
    try:
        described = json.loads(path.read_bytes())
        return from_dict(Recipe, described["recipe"]), dict(described["inputs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}); restore it from a copy.") from error


def load_run(
    folder: str | Path, *, which: Which | int = "best", device: str = "auto", ema: bool = True
) -> LoadedRun:
    """Load the best, the last, or a given step's checkpoint, verified byte for byte.

    ``ema``: prefer the averaged weights where the run kept them. A damaged checkpoint gives way to
    the one before it, and ``notes`` says so.

    Raises:
        UserError: nothing to load, everything damaged, or a device that is not there.
    """
    recipe, inputs = read_recipe(folder)
    target = resolve_device(device)
    run = RunFolder(Path(folder))
    checkpoint = _choose(run, which)
    predictor = build_predictor(recipe, inputs)
    weights = checkpoint.tensors("model")
    if ema and checkpoint.has("ema"):
        weights |= checkpoint.tensors("ema")
    load_weights(predictor, weights)
    predictor.to(target).eval().requires_grad_(False)
    return LoadedRun(
        folder=Path(folder),
        recipe=recipe,
        inputs=inputs,
        predictor=predictor,
        step=checkpoint.step,
        data_fingerprint=checkpoint.state.get("data_fingerprint", ""),
        notes=list(checkpoint.notes),
    )


def _choose(run: RunFolder, which: Which | int) -> Checkpoint:
    if isinstance(which, int):
        return run.store.load(which)
    return run.store.latest(prefer=run.best_step() if which == "best" else None)
