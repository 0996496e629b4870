"""What an image source is: pictures with labels, read one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from argmind.errors import UserError

#: Suffixes of image files that are read.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm"),
)
#: Suffixes of files of latents.
LATENTS = (".npy", ".safetensors")


class DamagedImage(UserError):
    """An image that cannot be read: cut off, corrupt, or with pixels that are not numbers."""


class Picture(NamedTuple):
    """One image as the source has it."""

    name: str  # where it is, for messages
    #: An encoded file; or pixels (H, W) or (H, W, C), whole or in [0, 1]; or a Pillow image.
    content: Any
    label: Any = None  # a class number or name; None where there are no classes


class ImageSource(ABC):
    """Images to learn from. Reading it again gives the same images in the same order."""

    name: str
    #: Images in it; None when that cannot be known before reading.
    count: int | None = None
    #: Names of the labels 0, 1, …, where the source knows them.
    classes: tuple[str, ...] | None = None
    #: May its images be drawn at any size asked for, without a word about how?
    any_size: ClassVar[bool] = False
    #: Are they grids of floats, of any range and any number of channels, rather than images?
    latent: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def from_spec(cls, argument: str, field: str, label_field: str | None) -> ImageSource:
        """Open ``kind:argument``; the fields name image and label in records that have several.

        Without ``label_field`` classes do not matter.
        """

    @cached_property
    def fingerprint(self) -> str:
        """Changes when an image or a label does."""
        raise NotImplementedError

    @abstractmethod
    def pictures(self) -> Iterator[Picture]:
        """All images in order."""


def require_kind(source: ImageSource, unit: float | None) -> None:
    """Refuse latents where images are meant, and images where latents are.

    Raises:
        UserError: saying which.
    """
    if source.latent != (unit is not None):
        kinds = ("latents", "images") if source.latent else ("images", "latents")
        raise UserError(f"{source.name} holds {kinds[0]}, and this is about {kinds[1]}.")
