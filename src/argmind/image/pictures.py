"""Images as PNG files, one by one or as strips of thinking steps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.base import optional_module
from argmind.data.datasets.images import pixels_of
from argmind.train.files import explained, replace_atomically

Pixels = NDArray[np.uint8]

#: Pixels between the images of a strip, and their grey.
_GAP, _PAPER = 2, 255
#: Images of a strip are enlarged, without smoothing, to about this side.
_SIDE = 64
#: A longer way is shown by this many of its steps.
_MOST_COLUMNS = 16


def write_png(path: Path, pixels: Pixels) -> None:
    """Write an image (C, H, W) or (H, W), whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    pillow: Any = optional_module("PIL.Image", f"writing {path}", "image")
    image = pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0).squeeze()
    content = io.BytesIO()
    pillow.fromarray(np.ascontiguousarray(image)).save(content, "PNG")
    with explained(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(path, content.getvalue())


def write_array(path: Path, numbers: NDArray[Any]) -> None:
    """Write an array as .npy, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    content = io.BytesIO()
    np.save(content, numbers, allow_pickle=False)
    with explained(str(path)):
        replace_atomically(path, content.getvalue())


def strip(columns: Sequence[Tensor]) -> Pixels:
    """Images side by side (C, H, W): a row for each problem, a column for each of the (B, C, H, W).

    The first and the last column always stay; of many in between, evenly spaced ones.
    """
    chosen = np.linspace(0, len(columns) - 1, min(len(columns), _MOST_COLUMNS)).round()
    images = np.stack([pixels_of(columns[int(number)]) for number in chosen], axis=1)
    enlarged = max(1, _SIDE // images.shape[-1])
    images = images.repeat(enlarged, axis=-2).repeat(enlarged, axis=-1)
    margin = ((0, 0), (0, 0), (0, 0), (0, _GAP), (0, _GAP))
    spaced = np.pad(images, margin, constant_values=_PAPER)
    rows, cells, channels, height, width = spaced.shape
    sheet = spaced.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, cells * width)
    return sheet[:, :-_GAP, :-_GAP]


def file_names(names: Sequence[str], ending: str) -> list[str]:
    """A file name of its own for each name, made of its last part."""
    unique: dict[str, None] = {}
    for name in names:
        stem = Path(name).stem or "image"
        tries = (f"{stem}{'' if n == 1 else f'-{n}'}{ending}" for n in count(1))
        unique[next(name for name in tries if name not in unique)] = None
    return list(unique)
