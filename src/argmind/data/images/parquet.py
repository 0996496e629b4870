"""Images in Parquet files, as the ``datasets`` library lays them out."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from argmind.data.base import digest_of, optional_module
from argmind.data.images.base import DamagedImage, ImageSource, Picture
from argmind.data.paths import find_files
from argmind.data.sources._readers import content_digest
from argmind.data.sources.base import wrong_field
from argmind.errors import UserError
from argmind.registry import register

#: The column of labels that may as well be absent.
LABEL = "label"
_ROWS = 256


@register("image_source", "parquet")
class ParquetSource(ImageSource):
    """Parquet as ``datasets`` lays it out: a column {bytes, path} or of bytes, and a label."""

    def __init__(self, spec: str, field: str, label_field: str | None) -> None:
        self.name, self.field = spec, field
        self.paths = find_files(spec, (".parquet",), "image_source")
        self.label_field = label_field
        self.count = 0
        for path in self.paths:
            with _opened(path) as table:
                self.count += table.metadata.num_rows
                self._check_columns(path, table.schema_arrow)
        if not self.count:
            raise UserError(f"{spec} holds no images: its tables have no rows.")

    def _check_columns(self, path: Path, schema: Any) -> None:
        if self.field not in schema.names:
            raise wrong_field(str(path), self.field, schema.names)
        if self.label_field is not None and self.label_field not in schema.names:
            if self.label_field != LABEL:
                raise wrong_field(str(path), self.label_field, schema.names)
            self.label_field = None
        if self.label_field is not None and self.classes is None:
            self.classes = _class_names(schema, self.label_field)

    @classmethod
    def from_spec(cls, argument: str, field: str, label_field: str | None) -> ImageSource:
        """Open ``parquet:PATH``, a path that could be taken for something else."""
        return cls(argument, field, label_field)

    @cached_property
    def fingerprint(self) -> str:
        """Of the files' content, in order, and of the columns read."""
        contents = [content_digest(path) for path in self.paths]
        return digest_of("parquet", self.field, self.label_field, contents)

    def pictures(self) -> Iterator[Picture]:
        for path in self.paths:
            yield from self._read(path)

    def _read(self, path: Path) -> Iterator[Picture]:
        columns = [self.field, *([] if self.label_field is None else [self.label_field])]
        number = 0
        with _opened(path) as table:
            for batch in table.iter_batches(batch_size=_ROWS, columns=columns):
                images = batch.column(self.field).to_pylist()
                labels: list[Any] = [None] * len(images)
                if self.label_field is not None:
                    labels = batch.column(self.label_field).to_pylist()
                for image, label in zip(images, labels, strict=True):
                    name = f"{path}, row {number}"
                    yield Picture(name, content_of(image, name, path.parent), label)
                    number += 1


def content_of(image: Any, name: str, folder: Path | None = None) -> Any:
    """What a record's image is: encoded bytes, pixels, or whatever the library made of it.

    Raises:
        DamagedImage: there is nothing there.
    """
    if isinstance(image, dict) and {"bytes", "path"} & set(image):
        data, place = image.get("bytes"), image.get("path")
        if data is None and place is not None:
            file = Path(place) if folder is None else folder / place
            try:
                return file.read_bytes()
            except OSError as error:
                raise DamagedImage(f"{name}: cannot read {file} ({error.strerror}).") from error
        image = data
    if image is None:
        return b""
    return np.asarray(image) if isinstance(image, list) else image


def _class_names(schema: Any, label_field: str) -> tuple[str, ...] | None:
    """What the ``datasets`` library wrote down about the labels, if it did."""
    written = (schema.metadata or {}).get(b"huggingface")
    try:
        feature = json.loads(written)["info"]["features"][label_field] if written else {}
        return tuple(str(name) for name in feature["names"])
    except (ValueError, KeyError, TypeError):
        return None


@contextmanager
def _opened(path: Path) -> Generator[Any]:
    arrow: Any = optional_module("pyarrow", f"reading {path}", "data")
    parquet: Any = optional_module("pyarrow.parquet", f"reading {path}", "data")
    try:
        with parquet.ParquetFile(path) as table:
            yield table
    except (arrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error}).") from error
