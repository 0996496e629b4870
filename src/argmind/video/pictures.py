"""A clip and what a model made of it, as a moving picture and as a sheet of frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.image.pictures import strip

#: Grey values of paper and bars, in [-1, 1].
_PAPER, _BAR, _PAST = 1.0, -0.4, 0.5
#: Frames of a sheet, at most.
_MOST = 16


def moving(rows: Sequence[Tensor], energies: Sequence[float]) -> NDArray[np.uint8]:
    """Pixels (T, C, H, W): clips (T, C, H, W) side by side, and energies as bars, one a frame.

    Frames that were given have no energy (NaN); the bar of the present frame is dark.
    """
    shares = _shares(energies)
    frames: list[NDArray[np.uint8]] = []
    for now in range(len(shares)):
        shown = [clip[now : now + 1] for clip in rows]
        frames.append(strip([*shown, _bars(shares, now, rows[0][now])[None]]))
    return np.stack(frames)


def sheet(rows: Sequence[Tensor], energies: Sequence[float]) -> NDArray[np.uint8]:
    """Pixels (C, H, W): a row a clip, a column a frame, and a bar for its energy below."""
    shares, last = _shares(energies), len(energies) - 1
    chosen = np.linspace(0, last, min(len(energies), _MOST)).round().astype(int).tolist()
    return strip(
        [
            torch.stack([*(clip[now] for clip in rows), _bars([shares[now]], 0, rows[0][now])])
            for now in chosen
        ]
    )


def _shares(energies: Sequence[float]) -> list[float]:
    """Heights of bars in [0, 1]: the largest energy is 1; 0 or less, or none, is 0."""
    values = np.nan_to_num(np.asarray(energies, float), nan=0.0, posinf=0.0, neginf=0.0)
    most = max(float(values.max(initial=0.0)), 1e-12)
    return (values.clip(0) / most).tolist()


def _bars(shares: Sequence[float], now: int, like: Tensor) -> Tensor:
    """A picture (C, H, W) of bars side by side; those after ``now`` are yet to come."""
    _, height, width = like.shape
    picture = torch.full_like(like, _PAPER)
    for column in range(width):
        bar = column * len(shares) // width
        pixels = round(shares[bar] * height)
        if bar <= now and pixels:
            picture[:, height - pixels :, column] = _BAR if bar == now else _PAST
    return picture
