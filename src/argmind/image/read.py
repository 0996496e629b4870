"""Images and latents from files and arrays, for a run that is trained."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from argmind.data.datasets.images import scaled
from argmind.data.images import open_image_source
from argmind.data.images.base import DamagedImage, Picture, require_kind
from argmind.data.images.decode import Shape, decode
from argmind.data.images.latents import LatentSource, latent_of
from argmind.errors import UserError


class Read(NamedTuple):
    """Images that were read, by name, and the names of damaged ones that were left out."""

    names: list[str]
    images: Tensor  # (B, C, H, W) in [-1, 1]
    skipped: list[str]


def read_images(given: Any, shape: Shape, unit: float | None, skip_bad: bool) -> Read:
    """All images of ``given`` in this shape, or all latents, in multiples of ``unit``.

    Raises:
        UserError: nothing usable is there.
    """
    if unit is not None and not isinstance(given, str):
        source = LatentSource(given)
    else:
        source = open_image_source(given, label_field=None)
    require_kind(source, unit)
    names: list[str] = []
    images: list[Tensor] = []
    skipped: list[str] = []
    for picture in source.pictures():
        try:
            images.append(_read(picture, shape, unit))
            names.append(picture.name)
        except DamagedImage as error:
            if not skip_bad:
                raise UserError(f"{error} Leave such files out with --skip-bad.") from error
            skipped.append(picture.name)
    if not images:
        raise UserError(f"all {len(skipped)} images of {given} are damaged.")
    return Read(names, torch.stack(images), skipped)


def _read(picture: Picture, shape: Shape, unit: float | None) -> Tensor:
    if unit is None:
        return scaled(decode(picture, shape))
    latent = latent_of(picture)
    wanted = (shape.channels, shape.image_size, shape.image_size)
    if latent.shape != wanted:
        raise UserError(f"{picture.name} is {latent.shape}, where latents of {wanted} are needed.")
    return scaled(latent, unit)
