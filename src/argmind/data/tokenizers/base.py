"""What a tokenizer is: text to ids and back, with the bytes every id stands for."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from argmind.data.sources.base import Source

#: The file of a saved tokenizer.
FILE_NAME = "tokenizer.json"

Ids = NDArray[np.int64]


class Tokenizer(ABC):
    """Text to ids and back. Id ``end_id`` stands between documents and is no text."""

    end_id: int

    @classmethod
    @abstractmethod
    def from_spec(cls, argument: str, source: Source | None, cache: Path) -> Tokenizer:
        """Open ``kind:argument``; one that learns from data learns from ``source``."""

    @cached_property
    def pieces(self) -> Sequence[bytes]:
        """The UTF-8 bytes each id stands for; none for ids that are no text."""
        raise NotImplementedError

    @cached_property
    def fingerprint(self) -> str:
        """Changes when any text would get other ids."""
        raise NotImplementedError

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Ids of a text, the end of document not added; text that names it is plain text."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``, which :func:`load_tokenizer` reads."""

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """:meth:`encode` of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: ArrayLike) -> str:
        """Text of ids; bytes that are not UTF-8 become U+FFFD.

        Raises:
            ValueError: an id outside the vocabulary.
        """
        return b"".join(self.token_bytes(index) for index in _list(ids)).decode("utf-8", "replace")

    def decoder(self) -> Decoder:
        """Decodes ids one by one."""
        return Decoder(self)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.pieces)

    def token_bytes(self, index: int) -> bytes:
        """The UTF-8 bytes an id stands for.

        Raises:
            ValueError: an id outside the vocabulary.
        """
        if not 0 <= index < self.vocab_size:
            raise ValueError(f"token id {index} is outside the vocabulary of {self.vocab_size}")
        return self.pieces[index]

    @cached_property
    def byte_lengths(self) -> Ids:
        """(V,) UTF-8 bytes of every id: what turns nats per token into bits per byte."""
        return np.array([len(piece) for piece in self.pieces], dtype=np.int64)

    def byte_length(self, ids: ArrayLike) -> int:
        """UTF-8 bytes that ids stand for."""
        return int(self.byte_lengths[np.asarray(ids, dtype=np.int64)].sum())

    def token_text(self, index: int) -> str:
        """An id in printable form: control characters and broken UTF-8 are escaped."""
        if index == self.end_id:
            return "<end>"
        raw = self.token_bytes(index)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return "".join(f"\\x{byte:02x}" for byte in raw)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Decoder:
    """Decodes a stream of ids: a character appears when its last byte has come."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, index: int) -> str:
        """The text that is complete with this id."""
        return self._utf8.decode(self._tokenizer.token_bytes(int(index)))

    def flush(self) -> str:
        """What is left of an unfinished character: U+FFFD or nothing."""
        return self._utf8.decode(b"", final=True)


def valid_text(text: str) -> str:
    """The text itself, or with lone surrogates (which no UTF-8 holds) replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _list(ids: ArrayLike) -> Iterable[int]:
    return np.asarray(ids, dtype=np.int64).ravel().tolist()
