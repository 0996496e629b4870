"""Clips out of files: moving pictures, or a folder of frames."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from argmind.data.base import optional_module
from argmind.data.datasets.images import scaled
from argmind.data.images.base import DamagedImage, Picture
from argmind.data.images.decode import BROKEN, Shape, decode, why
from argmind.data.images.files import FilesSource
from argmind.errors import UserError


def read_clip(spec: str, shape: Shape) -> Tensor:
    """Frames (T, C, H, W) in [-1, 1] of a GIF, APNG or WebP, or of a folder's files by name.

    Raises:
        UserError: there is no such clip, it is damaged, or its frames do not fit.
    """
    path = Path(spec).expanduser()
    pictures = FilesSource(spec, labelled=False).pictures() if path.is_dir() else _frames(path)
    return torch.cat([scaled(decode(picture, shape)[None]) for picture in pictures])


def _frames(path: Path) -> Iterator[Picture]:
    pillow: Any = optional_module("PIL.Image", f"reading {path}", "image")
    sequence: Any = optional_module("PIL.ImageSequence", f"reading {path}", "image")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    try:
        for number, frame in enumerate(sequence.Iterator(pillow.open(io.BytesIO(content)))):
            yield Picture(f"{path}, frame {number}", _plain(np.asarray(frame.convert("RGB"))))
    except BROKEN as error:
        raise DamagedImage(f"{path}: no moving picture that can be read ({why(error)}).") from error


def _plain(pixels: np.ndarray) -> np.ndarray:
    """Grey where there are no colours: files with palettes do not say which they are."""
    grey = (pixels == pixels[..., :1]).all()
    return pixels[..., 0] if grey else pixels
