"""All images of a source in one memory-mapped file, made once.

``images-KEY.bin`` holds the pixels, (N, C, H, W) of 8 bits (latents: float32), and after them N
labels of 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import Progress, digest_of
from argmind.data.images.base import DamagedImage, ImageSource, Picture
from argmind.data.images.decode import Fit, Shape, decode, shape_of
from argmind.data.images.labels import Labels
from argmind.data.images.latents import latent_of
from argmind.data.sealed import Write, sealed
from argmind.data.storage import cache_folder
from argmind.errors import UserError

_SCHEMA = 1
#: Damaged images that are named when all of them are left out.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What images are to become; None: as the first of them is."""

    image_size: int | None = None
    channels: int | None = None
    fit: Fit = "exact"
    convert: bool = False
    skip_bad: bool = False
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoredImages:
    """The images of a source."""

    pixels: NDArray[Any]  # (N, C, H, W), read-only: 0 to 255, or latents as they are
    labels: NDArray[np.int64] | None  # (N,)
    classes: tuple[str, ...]
    fingerprint: str
    source_fingerprint: str
    #: Damaged images that were left out, and the names of the first.
    skipped: int
    skipped_names: tuple[str, ...]
    #: Of latents: what becomes 1, so that all of them lie in [-1, 1].
    unit: float | None = None

    def note(self, name: str) -> str | None:
        """What a reader should know of images that were left out."""
        if not self.skipped:
            return None
        more = f" and {self.skipped - _NAMED} more" if self.skipped > _NAMED else ""
        listed = "; ".join(self.skipped_names) + more
        total = len(self.pixels) + self.skipped
        return f"{name}: {self.skipped} of {total} images left out as damaged: {listed}"


def stored_images(
    source: ImageSource,
    wanted: Wanted,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> StoredImages:
    """The images of a source, from the cache or decoded now.

    Raises:
        UserError: an image that cannot be used and is not to be left out, no image at all, labels
            that do not go together, a full disk.
    """
    key = digest_of(_SCHEMA, source.fingerprint, *vars(wanted).values())
    path = cache_folder(folder) / f"images-{key}.bin"

    def make(write: Write) -> dict[str, Any]:
        return _write(write, source, wanted, progress)

    record = sealed(path, make, what="image cache")
    shape = tuple(record["shape"])
    unit = record.get("unit")
    kind = np.dtype(np.uint8 if unit is None else "<f4")
    place = int(np.prod(shape)) * kind.itemsize
    labels = None
    if record["labelled"]:
        labels = np.fromfile(path, dtype="<i4", count=shape[0], offset=place).astype(np.int64)
    return StoredImages(
        pixels=np.memmap(path, dtype=kind, mode="r", shape=shape).view(np.ndarray),
        labels=labels,
        classes=tuple(record["classes"]),
        fingerprint=key,
        source_fingerprint=source.fingerprint,
        skipped=record["skipped"],
        skipped_names=tuple(record["skipped_names"]),
        unit=unit,
    )


def _write(
    write: Write, source: ImageSource, wanted: Wanted, progress: Progress | None
) -> dict[str, Any]:
    """Decode everything; returns what the record says of the file."""
    bad: list[str] = []
    labels = Labels(source)
    shape: Shape | None = None
    count, largest = 0, 0.0
    for done, picture in enumerate(islice(source.pictures(), wanted.limit), 1):
        try:
            shape = shape or _shape(picture, source, wanted)
            pixels = latent_of(picture) if source.latent else decode(picture, shape)
        except DamagedImage as error:
            if not wanted.skip_bad:
                raise UserError(
                    f"{error} Repair or remove it, or leave damaged images out with --skip-bad "
                    "(data.skip_bad=true)."
                ) from error
            bad.append(picture.name)
            continue
        labels.add(picture)
        write(pixels.tobytes())
        count, largest = count + 1, max(largest, float(np.abs(pixels).max()))
        if progress:
            progress(done, source.count)
    if shape is None:
        what = f"all {len(bad)} images in it are damaged" if bad else "there is no image in it"
        raise UserError(f"{source.name}: {what}.")
    ids, classes = labels.finished()
    if ids is not None:
        write(ids.astype("<i4").tobytes())
    return {
        "source": source.name,
        "shape": [count, shape.channels, shape.image_size, shape.image_size],
        "labelled": ids is not None,
        "classes": list(classes),
        "skipped": len(bad),
        "skipped_names": bad[:_NAMED],
        "unit": (largest or 1.0) if source.latent else None,
    }


def _shape(first: Picture, source: ImageSource, wanted: Wanted) -> Shape:
    """What all images become: as asked for, and for the rest as the first image is."""
    if source.latent:
        return _latent_shape(first, wanted)
    width, height, channels = shape_of(first, wanted.convert)
    if wanted.image_size is None and width != height and wanted.fit == "exact":
        raise UserError(
            f"{first.name} is {width}x{height}, where square images are needed. Say how they are "
            "to fit, with data.image_size and data.fit=crop, stretch or pad."
        )
    return Shape(
        image_size=wanted.image_size or min(width, height),
        channels=wanted.channels or channels,
        fit="stretch" if source.any_size and wanted.fit == "exact" else wanted.fit,
        convert=wanted.convert,
    )


def _latent_shape(first: Picture, wanted: Wanted) -> Shape:
    """Latents stay as they are.

    Raises:
        UserError: they are asked for in another size, with other channels, or made to fit.
    """
    channels, side, _ = first.content.shape
    if wanted.fit != "exact":
        raise UserError(f"latents are used as they are: leave out data.fit={wanted.fit}.")
    if wanted.image_size not in (None, side) or wanted.channels not in (None, channels):
        raise UserError(
            f"{first.name} is {channels}x{side}x{side}, where latents of "
            f"{wanted.channels or channels} channels and side {wanted.image_size or side} are "
            "needed."
        )
    return Shape(image_size=side, channels=channels)
