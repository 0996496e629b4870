"""Where images and latents come from: digits, files, Parquet, the Hugging Face Hub, arrays."""

from __future__ import annotations

from typing import Any

from argmind import registry
from argmind.data.images.base import LATENTS, SUFFIXES, ImageSource
from argmind.data.paths import find_files
from argmind.errors import UserError

#: What files of these suffixes are; others are images.
_KINDS = {".parquet": "parquet", **dict.fromkeys(LATENTS, "latents")}

__all__ = ["ImageSource", "open_image_source"]


def open_image_source(
    spec: Any, field: str = "image", label_field: str | None = "label", labels: Any = None
) -> ImageSource:
    """The images that ``spec`` means.

    Args:
        spec: ``digits``; a folder (of images, of a folder per class, or of Parquet files,
            or of latents), a file or a glob; ``hf:NAME[/config][:split]``; any other registered
            ``name:argument``; or, from Python, arrays or a source.
        field: where the image stands in records (Parquet, Hub datasets, .safetensors).
        label_field: where its class does, if it is there; None: classes do not matter.
        labels: of arrays, one for each.

    Raises:
        UserError: nothing usable is there.
    """
    if isinstance(spec, ImageSource):
        return spec
    if not isinstance(spec, str):
        from argmind.data.images.arrays import ArraySource

        return ArraySource(spec, labels)
    if not spec.strip():
        raise UserError("no images given: name a folder, a file, a glob, hf:NAME or 'digits'.")
    kind, _, argument = spec.partition(":")
    if kind in registry.names("image_source"):
        return registry.find("image_source", kind).from_spec(argument, field, label_field)
    return registry.find("image_source", _kind_of(spec)).from_spec(spec, field, label_field)


def _kind_of(spec: str) -> str:
    files = find_files(spec, (*SUFFIXES, ".parquet", *LATENTS), "image_source")
    kinds = {_KINDS.get(path.suffix.lower(), "files") for path in files}
    if len(kinds) > 1:
        kinds.discard("latents")  # what lies about beside images
    if len(kinds) > 1:
        raise UserError(
            f"{spec} holds both Parquet files and images: name one kind, such as "
            f"'{spec.rstrip('/')}/*.parquet'."
        )
    return kinds.pop()
