"""What ``imagine`` asks of a video run, and what it writes."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argmind.errors import UserError
from argmind.eval.rollout import RollOut, errors_by_horizon
from argmind.image.pictures import file_names, write_array, write_png
from argmind.report.pictures import gif
from argmind.thinking.budget import Budget
from argmind.train.files import explained, replace_atomically
from argmind.video.pictures import moving, sheet
from argmind.video.run import VideoRun

_FRAME_MS = 160
_HELD_OUT = 4


@dataclass(frozen=True)
class Asked:
    """A clip to go on with."""

    name: str
    file: str  # of the pictures, without ending
    frames: Tensor  # (T, C, H, W): those given, and those that came after them where known
    given: int
    actions: Tensor | None = None  # (T, A)


def asked_clips(run: VideoRun, args: argparse.Namespace) -> list[Asked]:
    """The clips that are named, or held-out ones.

    Raises:
        UserError: one of them cannot be used, or is shorter than what is to be given.
    """
    if not args.clips:
        return _held_out(run, args)
    if run.told_actions:
        raise UserError(
            f"{run.run.folder} is told what is done at every frame, which pictures do not tell: "
            "use --held-out."
        )
    files = [name.removesuffix(".gif") for name in file_names(args.clips, ".gif")]
    asked: list[Asked] = []
    for name, file in zip(args.clips, files, strict=True):
        frames = run.read(name, fit=args.fit, convert=args.convert)
        given = args.given or len(frames)
        if given > len(frames):
            raise UserError(
                f"{name} has {len(frames)} frames, shorter than the {given} to begin with: ask for "
                f"--given {len(frames)} or less."
            )
        asked.append(Asked(name, file, frames, given))
    return asked


def _held_out(run: VideoRun, args: argparse.Namespace) -> list[Asked]:
    given = args.given or max(1, run.window // 2)
    batch = run.held_out(args.held_out or _HELD_OUT, given + args.frames)
    known = batch["frames"].shape[1]
    if given > known:
        raise UserError(f"held-out clips have {known} frames: ask for --given {known} or less.")
    actions = batch.get("actions")
    return [
        Asked(
            f"held-out-{number}",
            f"held-out-{number}",
            frames,
            given,
            None if actions is None else actions[number],
        )
        for number, frames in enumerate(batch["frames"])
    ]


def make_ready(args: argparse.Namespace) -> None:
    """Make the folder that is written to, before the thinking.

    Raises:
        UserError: it cannot be made.
    """
    with explained(f"folder {args.out}"):
        Path(args.out).mkdir(parents=True, exist_ok=True)


def answered(
    run: VideoRun, clip: Asked, number: int, budget: Budget, args: argparse.Namespace
) -> dict[str, Any]:
    """Go on with one clip and write its pictures; what is told of it in JSON."""
    actions = None if clip.actions is None else clip.actions[None]
    begun = clip.frames[None, : clip.given]
    made = run.imagine(begun, args.frames, budget, actions=actions, seed=args.seed, first=number)
    energies = made.energies[0].tolist()
    if run.unit is None:
        paths = _written(clip, made, Path(args.out))
    else:
        file = Path(args.out) / f"{clip.file}.npy"
        write_array(file, (made.frames[0] * run.unit).squeeze((-2, -1)).cpu().numpy())
        paths = {"npy": str(file)}
    return {
        "clip": clip.name,
        "given": clip.given,
        **paths,
        "energies": energies,
        "errors": _errors(clip, made),
        "nfe": made.nfe[0].tolist(),
    }


def _errors(clip: Asked, made: RollOut) -> list[float | None]:
    """Mean squared error of every imagined frame; None from where the truth is not known."""
    truth = clip.frames[clip.given :][: made.frames.shape[1]]
    known = errors_by_horizon(made.frames[:, : len(truth)].cpu(), truth[None])[0].tolist()
    return [*known, *[None] * (made.frames.shape[1] - len(truth))]


def _written(clip: Asked, made: RollOut, folder: Path) -> dict[str, str]:
    """A GIF and a sheet: the truth as far as it is known, what was imagined, energies as bars."""
    imagined = torch.cat([clip.frames[: clip.given], made.frames[0].cpu()])
    rows, truth = [imagined], clip.frames[: len(imagined)]
    if len(truth) > clip.given:
        unknown = torch.ones_like(imagined[len(truth) :])
        rows.insert(0, torch.cat([truth, unknown]))
    energies = [math.nan] * clip.given + made.energies[0].tolist()
    paths = {"gif": folder / f"{clip.file}.gif", "png": folder / f"{clip.file}.png"}
    write_png(paths["png"], sheet(rows, energies))
    content = gif(moving(rows, energies), _FRAME_MS)
    with explained(str(paths["gif"])):
        replace_atomically(paths["gif"], content)
    return {name: str(path) for name, path in paths.items()}
