"""Where text comes from: local files, the Hugging Face Hub, Python's own manual, strings."""

from __future__ import annotations

from collections.abc import Iterable

from argmind import registry
from argmind.data.sources.base import Piece, Source
from argmind.data.sources.files import FileSource
from argmind.data.sources.texts import TextsSource
from argmind.errors import UserError

__all__ = ["Piece", "Source", "open_source"]


def open_source(spec: str | Iterable[str], field: str = "text") -> Source:
    """The source that ``spec`` means.

    Args:
        spec: a file, folder or glob; ``hf:NAME[/config][:split]``; ``python``; any other
            registered ``name:argument``; or an iterable of strings, one per document.
        field: where the text stands in records (JSON lines, Parquet, Hub datasets).

    Raises:
        UserError: nothing usable is there.
    """
    if not isinstance(spec, str):
        return TextsSource(spec)
    if not spec.strip():
        raise UserError("no data given: name a file, a folder, a glob, hf:NAME or 'python'.")
    kind, _, argument = spec.partition(":")
    if kind in registry.names("source"):
        return registry.find("source", kind).from_spec(argument, field)
    return FileSource(spec, field)
