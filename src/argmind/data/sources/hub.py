"""Text of the Hugging Face Hub, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from argmind.data.base import digest_of
from argmind.data.hub import HubRows
from argmind.data.sources.base import Piece, Source, cut_documents, wrong_field
from argmind.errors import UserError
from argmind.registry import register


@register("source", "hf")
class HubSource(Source):
    """A dataset of the Hugging Face Hub, streamed: hf:NAME[/config][:split]."""

    def __init__(self, rows: HubRows, field: str):
        self._rows, self.field, self.name = rows, field, rows.name

    @classmethod
    def from_spec(cls, argument: str, field: str) -> Source:
        """Open ``[owner/]name[/config][:split]`` or a local dataset folder."""
        return cls(HubRows.from_spec(argument), field)

    @cached_property
    def fingerprint(self) -> str:
        """Of the name alone for the Hub, whose text is not read twice; of the files if local."""
        *name, contents = self._rows.identity
        return digest_of("hf", *name, self.field, contents)

    def pieces(self) -> Iterator[Piece]:
        return cut_documents(self._texts())

    def _texts(self) -> Iterator[str]:
        for number, row in enumerate(self._rows.read(self._rows.open())):
            if self.field not in row:
                raise wrong_field(self.name, self.field, row)
            text = row[self.field]
            if text is None:
                continue
            if not isinstance(text, str):
                kind = type(text).__name__
                raise UserError(
                    f"{self.name}: field '{self.field}' of row {number} holds {kind}, not text."
                )
            yield text
