"""Image files: one, a glob, or a folder that may have a folder per class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from argmind.data.base import digest_of
from argmind.data.images.base import SUFFIXES, ImageSource, Picture
from argmind.data.paths import find_files
from argmind.data.sources._readers import content_digest, opened_raw
from argmind.errors import UserError
from argmind.registry import register


@register("image_source", "files")
class FilesSource(ImageSource):
    """Image files: one, a glob, a folder of images, or a folder with a folder per class."""

    def __init__(self, spec: str, labelled: bool = True) -> None:
        self.name = spec
        self.paths = find_files(spec, SUFFIXES, "image_source")
        self.count = len(self.paths)
        folder = Path(spec).expanduser()
        self._labels: list[str | None] = [None] * self.count
        if labelled and folder.is_dir():
            self._labels = _labels(folder, self.paths)
        names = sorted({label for label in self._labels if label is not None})
        self.classes = tuple(names) or None

    @classmethod
    def from_spec(cls, argument: str, field: str, label_field: str | None) -> ImageSource:  # noqa: ARG003
        """Open ``files:PATH``, a path that could be taken for something else."""
        return cls(argument, label_field is not None)

    @cached_property
    def fingerprint(self) -> str:
        """Of the content, in order: equal for a copy in another place."""
        return digest_of("files", self._labels, [content_digest(path) for path in self.paths])

    def pictures(self) -> Iterator[Picture]:
        for path, label in zip(self.paths, self._labels, strict=True):
            with opened_raw(path) as handle:
                yield Picture(str(path), handle.read(), label)


def _labels(folder: Path, paths: Sequence[Path]) -> list[str | None]:
    """The class of each file: the folder that it lies in, where all lie in one of several."""
    tops = [path.relative_to(folder).parts[:-1][:1] for path in paths]
    inside = [top[0] if top else None for top in tops]
    if None not in inside:
        return inside if len(set(inside)) > 1 else [None] * len(paths)
    if any(inside):
        stray = paths[inside.index(None)]
        raise UserError(
            f"{folder} holds images both beside folders and inside them ({stray} is beside): put "
            "each image into the folder of its class, or all of them into one."
        )
    return inside
