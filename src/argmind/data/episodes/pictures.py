"""Pictures of observations as PNG, as the ``datasets`` library keeps them in a table."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import optional_module
from argmind.errors import UserError

Pixels = NDArray[np.uint8]


def encoded(pictures: Pixels) -> list[dict[str, Any]]:
    """Pictures (T, H, W, 3) as {bytes, path} with nothing lost."""
    pillow: Any = optional_module("PIL.Image", "storing pictures", "policy")
    rows: list[dict[str, Any]] = []
    for pixels in pictures:
        content = io.BytesIO()
        pillow.fromarray(np.ascontiguousarray(pixels)).save(content, "PNG")
        rows.append({"bytes": content.getvalue(), "path": None})
    return rows


def decoded(rows: list[Any], where: str) -> Pixels:
    """The pictures (T, H, W, 3) of one episode.

    Raises:
        UserError: one cannot be read, or has another size than the first.
    """
    pillow: Any = optional_module("PIL.Image", "reading pictures", "policy")
    pictures: list[Pixels] = []
    for step, row in enumerate(rows):
        content: Any = row.get("bytes") if isinstance(row, dict) else row
        try:
            with pillow.open(io.BytesIO(content)) as image:
                pictures.append(np.array(image.convert("RGB"), dtype=np.uint8))
        except (OSError, SyntaxError, ValueError, TypeError) as error:
            raise UserError(f"{where}: the picture of step {step} cannot be read.") from error
        if pictures[-1].shape != pictures[0].shape:
            raise UserError(f"{where}: the picture of step {step} has another size than the first.")
    return np.stack(pictures)
