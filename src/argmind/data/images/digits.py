"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import digest_of, optional_module
from argmind.data.images.base import ImageSource, Picture
from argmind.errors import UserError
from argmind.registry import register


@register("image_source", "digits")
class DigitsSource(ImageSource):
    """1,797 handwritten digits of 8x8 pixels, drawn at any size; they come with scikit-learn.

    Source: UCI "Optical Recognition of Handwritten Digits", its test part.
    """

    name = "digits (scikit-learn)"
    classes = tuple("0123456789")
    any_size = True

    def __init__(self) -> None:
        self._pixels, self._labels = digits()
        self.count = len(self._labels)

    @classmethod
    def from_spec(
        cls,
        argument: str,
        field: str,  # noqa: ARG003
        label_field: str | None,  # noqa: ARG003
    ) -> ImageSource:
        """Open ``digits``."""
        if argument:
            raise UserError(f"'digits:{argument}': the source 'digits' takes no argument.")
        return cls()

    @cached_property
    def fingerprint(self) -> str:
        return digest_of("digits", self._pixels.tobytes().hex(), self._labels.tolist())

    def pictures(self) -> Iterator[Picture]:
        pairs = zip(self._pixels, self._labels.tolist(), strict=True)
        for number, (pixels, label) in enumerate(pairs):
            yield Picture(f"digit {number}", pixels, label)


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All digits as grey images (1797, 8, 8), 0 to 255, and what they say."""
    package: Any = optional_module("sklearn.datasets", "the built-in digits", "image")
    bunch = package.load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return pixels, np.asarray(bunch.target, dtype=np.int64)
