"""Strings given from Python."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from argmind.data.base import digest_of
from argmind.data.sources.base import Piece, Source, cut_documents
from argmind.errors import UserError
from argmind.registry import register


@register("source", "texts")
class TextsSource(Source):
    """Strings in memory, one per document (from Python only)."""

    name = "the given texts"

    def __init__(self, texts: Iterable[str]):
        if isinstance(texts, (str, bytes)):
            raise UserError("texts must be several strings, one per document: texts=[text].")
        self.texts = list(texts)
        for number, text in enumerate(self.texts):
            _require_text(number, text)
        if not any(self.texts):
            raise UserError("the given texts are empty: give at least one string with text in it.")

    @classmethod
    def from_spec(cls, argument: str, field: str) -> Source:  # noqa: ARG003
        """Refused: a specification in words holds no strings."""
        raise UserError(
            f"'texts:{argument}' cannot be opened by name: strings are given from Python, as "
            "texts=[...]. For a file give its path."
        )

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint_of_texts(self.texts)

    def pieces(self) -> Iterator[Piece]:
        return cut_documents(self.texts)


def fingerprint_of_texts(texts: Iterable[str]) -> str:
    """A fingerprint of documents in order; where one ends and the next begins counts."""
    hashed = hashlib.blake2b(digest_size=16)
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        hashed.update(len(raw).to_bytes(8, "little"))
        hashed.update(raw)
    return digest_of("texts", hashed.hexdigest())


def _require_text(number: int, text: Any) -> None:
    if not isinstance(text, str):
        raise UserError(
            f"texts[{number}] is of type {type(text).__name__}, not str: give one string per "
            "document."
        )
