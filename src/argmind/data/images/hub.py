"""Images of the Hugging Face Hub, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from argmind.data.base import digest_of
from argmind.data.hub import HubRows
from argmind.data.images.base import ImageSource, Picture
from argmind.data.images.parquet import LABEL, content_of
from argmind.data.sources.base import wrong_field
from argmind.registry import register


@register("image_source", "hf")
class HubImageSource(ImageSource):
    """An image dataset of the Hugging Face Hub, streamed: hf:NAME[/config][:split]."""

    def __init__(self, rows: HubRows, field: str, label_field: str | None) -> None:
        self._rows, self.field, self.label_field, self.name = rows, field, label_field, rows.name

    @classmethod
    def from_spec(cls, argument: str, field: str, label_field: str | None) -> ImageSource:
        """Open ``[owner/]name[/config][:split]`` or a local dataset folder."""
        return cls(HubRows.from_spec(argument), field, label_field)

    @cached_property
    def fingerprint(self) -> str:
        """Of the name alone for the Hub, whose images are not read twice; of the files if local."""
        return digest_of("hf", *self._rows.identity, self.field, self.label_field)

    def pictures(self) -> Iterator[Picture]:
        stream = self._rows.open()
        features: Any = getattr(stream, "features", None) or {}
        self.classes = tuple(getattr(features.get(self.label_field), "names", None) or ()) or None
        image_feature = features.get(self.field)
        if type(image_feature).__name__ == "Image":
            # Encoded as they are stored: a damaged one is then found, and named, here.
            stream = stream.cast_column(self.field, type(image_feature)(decode=False))
        for number, row in enumerate(self._rows.read(stream)):
            name = f"{self.name}, row {number}"
            if self.field not in row:
                raise wrong_field(self.name, self.field, row)
            if self.label_field not in (LABEL, None, *row):
                raise wrong_field(self.name, self.label_field, row)
            image: Any = row[self.field]
            yield Picture(name, content_of(image, name), row.get(self.label_field or ""))
