"""The English text that ships with Python itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from argmind.data.base import optional_module
from argmind.data.sources.base import Piece, Source, cut_documents
from argmind.data.sources.texts import fingerprint_of_texts
from argmind.errors import UserError
from argmind.registry import register


@register("source", "python")
class PythonSource(Source):
    """Python's own manual (pydoc_data.topics): real English prose on every machine."""

    name = "python (pydoc_data.topics)"

    @classmethod
    def from_spec(cls, argument: str, field: str) -> Source:  # noqa: ARG003
        """Open ``python``."""
        if argument:
            raise UserError(f"'python:{argument}': the source 'python' takes no argument.")
        return cls()

    def __init__(self) -> None:
        module = optional_module("pydoc_data.topics", "the source 'python'", "data")
        self._texts = [module.topics[name] for name in sorted(module.topics)]
        self.total_bytes = sum(len(text.encode()) for text in self._texts)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint_of_texts(self._texts)

    def pieces(self) -> Iterator[Piece]:
        return cut_documents(self._texts)
