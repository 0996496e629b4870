"""Video predicted from its own predictions, and what that is measured by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.errors import UserError
from argmind.nn.frames import changed
from argmind.predictors.base import Predictor
from argmind.randomness import Randomness
from argmind.thinking.budget import Budget

Array = NDArray[Any]


@dataclass(frozen=True)
class RollOut:
    """Predicted frames (B, K, C, H, W), with energies and passes (B, K) of each."""

    frames: Tensor
    energies: Tensor
    nfe: Tensor


@torch.no_grad()
def roll_out(
    predictor: Predictor,
    frames: Tensor,
    count: int,
    *,
    window: int,
    actions: Tensor | None = None,
    budget: Budget | None = None,
    generator: Randomness = None,
) -> RollOut:
    """Predict ``count`` frames after ``frames`` (B, S, C, H, W), each from those before it.

    ``window``: the most frames looked back on, such as the model was trained with. ``actions``
    (B, S + count − 1 or more, A): what is done at each frame, of those to come too.

    Raises:
        UserError: no frame to begin with, or fewer actions than frames need.
    """
    given = frames.shape[1]
    if not given or window < 1 or count < 1:
        raise UserError("a roll-out needs at least one frame to begin with, and one to predict.")
    if actions is not None and actions.shape[1] < given + count - 1:
        raise UserError(
            f"{count} frames after {given} need actions at {given + count - 1} frames, and there "
            f"are {actions.shape[1]}."
        )
    energies: list[Tensor] = []
    passes: list[Tensor] = []
    for end in range(given, given + count):
        first = max(0, end - window)
        imagined = torch.arange(first, end, device=frames.device) >= given
        problem = {"frames": frames[:, first:end], "imagined": imagined.expand(len(frames), -1)}
        if actions is not None:
            problem["actions"] = actions[:, first:end]
        state = predictor.encode(problem, last_only=True)
        prediction = predictor.predict_from(state, budget or Budget(), generator)
        following = changed(frames[:, -1:], prediction.output)
        frames = torch.cat([frames, following], dim=1)
        energies.append(prediction.energy)
        passes.append(prediction.nfe)
    return RollOut(frames[:, given:], torch.cat(energies, 1), torch.cat(passes, 1))


def errors_by_horizon(predicted: Tensor, truth: Tensor) -> Array:
    """Mean squared error (B, K) of every frame, or change, (B, K, C, H, W)."""
    return (predicted - truth).square().flatten(2).mean(2).double().cpu().numpy()


@torch.no_grad()
def best_of(
    predictor: Predictor,
    problem: dict[str, Tensor],
    truth: Tensor,
    candidates: int,
    budget: Budget | None = None,
    seed: int = 0,
) -> Array:
    """Least mean squared error (B, S) among several answers with draws of their own.

    A model that knows the alternatives has one of them right; one that answers with their mean has
    not.
    """
    errors: list[Array] = []
    for draw in range(candidates):
        generator = torch.Generator(truth.device).manual_seed(seed + draw)
        output = predictor.predict(problem, budget, generator).output
        errors.append(errors_by_horizon(output, truth))
    return np.min(errors, axis=0)
