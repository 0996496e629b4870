"""What a text source is: documents, read lazily in pieces of bounded size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from argmind.errors import UserError, suggestion

#: Longest piece of a document, in characters: bounds memory whatever the size of a file.
PIECE_CHARS = 1 << 20


class Piece(NamedTuple):
    """A run of text; ``ends`` says that its document ends with it."""

    text: str
    ends: bool
    done_bytes: int  # how much of the source has been read


class Source(ABC):
    """Text to learn from. Reading it again gives the same text."""

    name: str
    #: Size on the scale of ``Piece.done_bytes``; None when it cannot be known before reading.
    total_bytes: int | None = None

    @classmethod
    @abstractmethod
    def from_spec(cls, argument: str, field: str) -> Source:
        """Open ``kind:argument``; ``field`` names the text in records that have several."""

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the text does."""
        raise NotImplementedError

    @abstractmethod
    def pieces(self) -> Iterator[Piece]:
        """All text in order, in pieces of at most ``PIECE_CHARS``; empty documents are left out."""

    def documents(self) -> Iterator[str]:
        """The documents, each whole."""
        parts: list[str] = []
        for piece in self.pieces():
            parts.append(piece.text)
            if piece.ends:
                yield "".join(parts)
                parts = []


def cut(blocks: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """One document, given in blocks of any size, as (piece, whether it is the last).

    Pieces end just before a line break that is followed by a visible character where there is one:
    there GPT-2's word pattern breaks too, so byte-pair encoding the pieces equals encoding the
    whole. Where the cuts fall does not depend on the blocks.
    """
    held = ""
    for block in blocks:
        text, start = held + block, 0
        while len(text) - start > PIECE_CHARS:
            end = _cut_before(text, start, start + PIECE_CHARS)
            yield text[start:end], False
            start = end
        held = text[start:]
    if held:
        yield held, True


def _cut_before(text: str, start: int, stop: int) -> int:
    at = stop
    while (at := text.rfind("\n", start + 1, at)) > start:
        if not text[at + 1].isspace():
            return at
    return stop


def cut_documents(documents: Iterable[str]) -> Iterator[Piece]:
    """Pieces of whole documents; ``done_bytes`` counts their UTF-8 bytes."""
    done = 0
    for document in documents:
        for text, ends in cut([document]):
            done += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            yield Piece(text, ends, done)


def wrong_field(where: str, field: str, present: Iterable[str]) -> UserError:
    """The error for records that lack the field the text was to be read from."""
    names = [str(name) for name in present]
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "") if names else "none"
    return UserError(
        f"{where}: no field '{field}'.{suggestion(field, names)} Fields there: {listed}. "
        "Choose one with --field."
    )
