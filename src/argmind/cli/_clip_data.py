"""Held-out clips: every frame of them but the last asks what comes next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from argmind.cli._held_out import changed, is_own, own_data, part_words, reading
from argmind.cli._pictures import Problems
from argmind.data.base import Batch
from argmind.data.datasets.clip_files import ClipFiles, open_clips
from argmind.data.datasets.clips import batch_of
from argmind.errors import UserError
from argmind.eval.budgets import Measured, with_errors
from argmind.eval.rollout import errors_by_horizon
from argmind.eval.statistics import auroc, auroc_within, spearman
from argmind.video.run import VideoRun

#: One frame tells no speed: what follows the first is open too, and left out.
_IN_MOTION = 1


class HeldOutClips(Problems):
    """Clips, judged frame by frame."""

    items: ClassVar[str] = "clips"
    prediction: ClassVar[str] = "frame"

    @property
    def legend(self) -> str:
        """And what doing nothing would reach."""
        told = f"error: mean square, {self.still:.4g} if nothing changes; "
        told += "ρ: rank correlation of energy and error"
        if not self.random.any():
            return told
        return told + (
            "; AUROC: does energy tell the frames after which chance decides from the others, and "
            "below, from those of the same number"
        )

    @cached_property
    def random(self) -> NDArray[np.bool_]:
        """(clips, frames predicted from): the next frame is decided by chance."""
        return np.concatenate([batch["random"][:, :-1].numpy() for batch in self.batches])

    @cached_property
    def still(self) -> float:
        """The error of saying that nothing changes."""
        frames = (batch["frames"] for batch in self.batches)
        errors = [errors_by_horizon(clips[:, :-1], clips[:, 1:]) for clips in frames]
        return float(np.concatenate(errors).mean())

    def facts(self) -> dict[str, Any]:
        """And what doing nothing would reach, and how often chance decides."""
        chance = float(self.random.mean())
        return {**super().facts(), "still_error": self.still, "random_frames": chance}

    def judged(self, rows: list[Measured]) -> list[Measured]:
        """With mean squared errors as a score."""
        return with_errors(rows)

    def further(self, row: Measured) -> dict[str, float]:
        """What energies know of errors, and of chance where it has a part."""
        energies, errors = row.evaluation.energies, row.evaluation.scores["error"]
        found = {"energy_error_rank_correlation": spearman(energies, errors)}
        if self.random.any():
            told = energies[:, _IN_MOTION:], self.random[:, _IN_MOTION:]
            found["random_frame_auroc"] = auroc(*told)
            found["random_frame_auroc_same_frame"] = auroc_within(*told)
        return found

    def cells(self, row: Measured) -> dict[str, str]:
        """Errors where images have losses, and how well energy tells chance."""
        rank, *chance = (f"{value:.2f}" for value in self.further(row).values())
        found = {"error": f"{row.scores['error'].value:.4g}", **self.costs(row), "ρ": rank}
        return found | ({"AUROC": "\n".join(chance)} if chance else {})


def held_out_clips(run: VideoRun, args: argparse.Namespace) -> HeldOutClips:
    """The clips that ``--data`` names, or those that the run held out.

    Raises:
        UserError: they cannot be used, or are not what the run was trained on.
    """
    config = changed(run.run, args.set, ("data.scene", "data.frames"), "data.scene=turning")
    _require_sensible(run, config, args)
    if not is_own(args.data, config):
        name, batches = _named(run, config, args)
    elif config.source is not None:
        data = own_data(run.run, config, "clips", args)
        name, batches = f"the held-out part of {config.source}", _evaluated(data, args)
    else:
        name, batches = _of_a_scene(run, config, args)
    return HeldOutClips(name=name, batches=batches)


def _require_sensible(run: VideoRun, config: Any, args: argparse.Namespace) -> None:
    trained: Any = run.run.recipe.data
    given = args.data or trained.source
    if given is not None and config.scene != trained.scene:
        raise UserError(f"--set data.scene changes what clips are made of, and {given} is given.")
    if config.frames > trained.frames:
        raise UserError(
            f"--set data.frames={config.frames}: {run.run.folder} learnt from clips of "
            f"{trained.frames} frames. Ask for so many, or fewer."
        )


def _evaluated(data: Any, args: argparse.Namespace) -> list[Batch]:
    return list(data.evaluation(args.batch_size, args.limit))


def _of_a_scene(run: VideoRun, config: Any, args: argparse.Namespace) -> tuple[str, list[Batch]]:
    """Held-out clips are the same however many are trained on, which need not be made."""
    data = reading(
        args.screen,
        lambda progress: replace(config, clips=1).build(seed=0, progress=progress),
        "clips",
    )
    name = f"held-out clips of {part_words(config.scene)}"
    _require_fit(run, name, data.model_inputs)
    return name, _evaluated(data, args)


def _named(run: VideoRun, config: Any, args: argparse.Namespace) -> tuple[str, list[Batch]]:
    """All clips of files, in windows that do not overlap."""
    field = args.field or config.field
    files = open_clips(args.data, None, None, field=field, length=config.frames, eval_fraction=1.0)
    if (files.unit is None) != (run.unit is None):
        kinds = ("pixels", "features") if files.unit is None else ("features", "pixels")
        raise UserError(f"{args.data} holds {kinds[0]}, and {run.run.folder} is about {kinds[1]}.")
    names = ("image_size", "channels", "action_dim")
    size, channels, actions = (getattr(files, name) for name in names)
    _require_fit(run, args.data, {"image_size": size, "channels": channels, "actions": actions})
    return args.data, list(_windows(files, run.unit, args))


def _windows(files: ClipFiles, unit: float | None, args: argparse.Namespace) -> Iterator[Batch]:
    """Frames of features in the unit that the model knows."""
    scale = 1.0 if files.unit is None or unit is None else files.unit / unit
    count = min(args.limit, files.count(held_out=True))
    for first in range(0, count, args.batch_size):
        numbers = np.arange(first, min(first + args.batch_size, count))
        batch = batch_of(files.take(numbers, held_out=True))
        yield {**batch, "frames": batch["frames"] * scale}


def _require_fit(run: VideoRun, name: str, inputs: dict[str, int]) -> None:
    """A model that is told actions needs them; any other does without.

    Raises:
        UserError: frames of another size, or no actions as the model is told.
    """
    known = run.run.inputs
    sizes = [(one["channels"], one["image_size"], one["image_size"]) for one in (inputs, known)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"{name}: frames are (channels, height, width) = {sizes[0]}, and {run.run.folder} is "
            f"a run on {sizes[1]}."
        )
    if run.told_actions and inputs["actions"] != known["actions"]:
        raise UserError(
            f"{name}: actions have {inputs['actions']} numbers, and {run.run.folder} is told "
            f"{known['actions']} at every frame."
        )
