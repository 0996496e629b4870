"""Latents: grids of numbers of any range and any number of channels, as encoders make them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
from numpy.typing import NDArray

from argmind.data.base import digest_of
from argmind.data.images.arrays import plain_label
from argmind.data.images.base import LATENTS, DamagedImage, ImageSource, Picture
from argmind.data.paths import find_files
from argmind.data.sources._readers import content_digest
from argmind.data.sources.base import wrong_field
from argmind.errors import UserError
from argmind.registry import register


@register("image_source", "latents")
class LatentSource(ImageSource):
    """Latents (N, C, H, W): .npy files, or .safetensors with labels beside them; or an array.

    From Python: ``recipe.data.build(seed=0, given=LatentSource(array, labels))``.
    """

    latent = True

    def __init__(
        self,
        latents: Any,
        labels: Sequence[int | str] | None = None,
        *,
        name: str = "the given latents",
        files: Sequence[Path] = (),
    ) -> None:
        self.name, self._files = name, files
        self._latents = _checked(latents, name)
        self.count = len(self._latents)
        self._labels = None if labels is None else [plain_label(label) for label in labels]
        if self._labels is not None and len(self._labels) != self.count:
            raise UserError(
                f"{name}: there are {self.count} latents and {len(self._labels)} labels: give one "
                "label for each."
            )

    @classmethod
    def from_spec(cls, argument: str, field: str, label_field: str | None) -> ImageSource:
        """Open ``latents:PATH``, or a file, folder or glob of them."""
        files = find_files(argument, LATENTS, "image_source")
        read = [_read(path, field, label_field) for path in files]
        shapes = sorted({latents.shape[1:] for latents, _ in read})
        if len(shapes) > 1:
            listed = " and ".join(map(str, shapes))
            raise UserError(f"{argument} holds latents of several shapes: {listed}.")
        latents = read[0][0] if len(read) == 1 else np.concatenate([one for one, _ in read])
        told = [labels for _, labels in read if labels is not None]
        if told and len(told) < len(read):
            raise UserError(f"{argument}: some of its files have labels and some have none.")
        labels = np.concatenate(told).tolist() if told else None
        return cls(latents, labels, name=argument, files=files)

    @cached_property
    def fingerprint(self) -> str:
        """Of files' content, or of the numbers; and of the labels."""
        if self._files:
            contents = [content_digest(path) for path in self._files]
        else:
            content = self._latents.tobytes()
            digest = hashlib.blake2b(content, digest_size=16).hexdigest()
            contents = [self._latents.dtype.str, digest]
        return digest_of("latents", self._latents.shape, contents, self._labels)

    def pictures(self) -> Iterator[Picture]:
        for number, latent in enumerate(self._latents):
            label = None if self._labels is None else self._labels[number]
            yield Picture(f"{self.name}, row {number}", latent, label)


def latent_of(picture: Picture) -> NDArray[np.float32]:
    """A latent (C, H, W) as it is.

    Raises:
        DamagedImage: some of its numbers are NaN or infinite.
    """
    numbers = np.array(picture.content, dtype=np.float32)
    wrong = int((~np.isfinite(numbers)).sum())
    if wrong:
        raise DamagedImage(f"{picture.name}: {wrong} of its numbers are NaN or infinite.")
    return numbers


def _checked(latents: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(latents)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} must be an array (N, C, H, W): {error}.") from error
    if array.ndim != 4 or array.shape[-1] != array.shape[-2] or not array.size:
        raise UserError(
            f"{name} has the shape {array.shape}, where latents are (number, channels, side, side)."
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(
            f"{name} holds {array.dtype}, where latents are floats. Images of whole numbers are "
            "read from image files or Parquet."
        )
    return array


def _read(
    path: Path, field: str, label_field: str | None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Latents of a file, and labels where it has some."""
    arrays = read_arrays(path, field)
    labels = arrays.pop(label_field, None) if label_field not in (None, field) else None
    if field not in arrays and len(arrays) != 1:
        raise wrong_field(str(path), field, list(arrays))
    return _checked(arrays.get(field, next(iter(arrays.values()))), str(path)), labels


def read_arrays(path: Path, field: str) -> dict[str, NDArray[Any]]:
    """The arrays of a .safetensors file by name; that of an .npy file, as ``field``.

    Raises:
        UserError: it is damaged, or of another kind.
    """
    try:
        if path.suffix.lower() == ".npy":
            return {field: np.load(path, mmap_mode="r", allow_pickle=False)}
        tensors = safetensors.torch.load_file(path)
    except (OSError, ValueError, EOFError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} cannot be read: it is damaged, or no {path.suffix} file of plain numbers."
        ) from error
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in tensors.items()
    }
