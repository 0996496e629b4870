"""Images given from Python."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from argmind.data.base import digest_of
from argmind.data.images.base import ImageSource, Picture
from argmind.errors import UserError
from argmind.registry import register


@register("image_source", "arrays")
class ArraySource(ImageSource):
    """Arrays in memory (from Python only): (H, W) or (H, W, C), whole 0-255 or floats in [0, 1]."""

    name = "the given images"

    def __init__(self, images: Any, labels: Sequence[int | str] | None = None) -> None:
        try:
            self.images = [np.asarray(image) for image in images]
        except (TypeError, ValueError) as error:
            raise UserError(f"images must be arrays (H, W) or (H, W, C): {error}.") from error
        if not self.images:
            raise UserError("the given images are none: give at least two arrays.")
        self.labels = None if labels is None else [plain_label(label) for label in labels]
        if self.labels is not None and len(self.labels) != len(self.images):
            raise UserError(
                f"there are {len(self.images)} images and {len(self.labels)} labels: give one "
                "label for each image."
            )
        self.count = len(self.images)

    @classmethod
    def from_spec(
        cls,
        argument: str,
        field: str,  # noqa: ARG003
        label_field: str | None,  # noqa: ARG003
    ) -> ImageSource:
        """Refused: a specification in words holds no arrays."""
        raise UserError(
            f"'arrays:{argument}' cannot be opened by name: arrays are given from Python. For "
            "files give their folder."
        )

    @cached_property
    def fingerprint(self) -> str:
        """Of pixels, shapes and labels."""
        hashed = hashlib.blake2b(digest_size=16)
        shapes = [[image.dtype.str, *image.shape] for image in self.images]
        for image in self.images:
            hashed.update(np.ascontiguousarray(image).tobytes())
        return digest_of("arrays", shapes, hashed.hexdigest(), self.labels)

    def pictures(self) -> Iterator[Picture]:
        for number, image in enumerate(self.images):
            label = None if self.labels is None else self.labels[number]
            yield Picture(f"images[{number}]", image, label)


def plain_label(label: Any) -> Any:
    """A label as a Python number, where it is one of numpy's."""
    return label.item() if isinstance(label, np.generic) else label
