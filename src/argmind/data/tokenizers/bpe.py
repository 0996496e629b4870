"""Byte-pair encoding learned from the data."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from argmind.data.base import digest_of
from argmind.data.sources.base import Source
from argmind.data.storage import locked, read_record, write_record
from argmind.data.tokenizers._library import END, LibraryTokenizer, library
from argmind.data.tokenizers.base import Tokenizer, valid_text
from argmind.errors import UserError
from argmind.registry import register

#: How much text is learned from: the first 64 MiB of the source.
TRAIN_BYTES = 64 << 20
_SMALLEST = 257
_LARGEST = 1 << 20
_SCHEMA = 1

_log = logging.getLogger(__name__)


@register("tokenizer", "bpe")
class BpeTokenizer(LibraryTokenizer):
    """Byte-level byte-pair encoding of SIZE ids, learned from the data: bpe:8192.

    Bytes, an end of document, and merges of at least two occurrences: little data can give fewer
    ids than asked for. The same data gives the same tokenizer.

    Source: Sennrich, Haddow, Birch 2016 (merges); Radford et al. 2019 (on bytes).
    """

    @classmethod
    def from_spec(cls, argument: str, source: Source | None, cache: Path) -> Tokenizer:
        """Learn ``bpe:SIZE`` from the source, or take it from the cache."""
        size = _size(argument)
        library("bpe")
        if source is None:
            raise UserError(f"bpe:{size} is learned from data: name the data too.")
        key = digest_of(_SCHEMA, "bpe", size, TRAIN_BYTES, source.fingerprint)
        path = cache / f"bpe-{key}.json"
        saved = _load(path)
        if saved is None:
            with locked(path):
                saved = _load(path) or _learn(size, source, path)
        return cls.from_saved(saved, f"bpe:{size}")


def _size(argument: str) -> int:
    if not argument.isascii() or not argument.isdigit():
        raise UserError(f"'bpe:{argument}': write the number of tokens, as in bpe:8192.")
    size = int(argument)
    if not _SMALLEST <= size <= _LARGEST:
        raise UserError(
            f"bpe:{size}: the number of tokens must be between {_SMALLEST} (the bytes and the end "
            f"of document) and {_LARGEST}."
        )
    return size


def _load(path: Path) -> Any:
    try:
        return read_record(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("the cached tokenizer %s is damaged (%s): learning it again", path, error)
        return None


def _learn(size: int, source: Source, path: Path) -> Any:
    tokenizers = library("bpe")
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(_first_text(source), trainer)
    saved = json.loads(inner.to_str())
    write_record(path, saved)
    return saved


def _first_text(source: Source) -> Iterator[str]:
    left = TRAIN_BYTES
    for piece in source.pieces():
        text = valid_text(piece.text)
        raw = text.encode()
        yield text if len(raw) <= left else raw[:left].decode("utf-8", "ignore")
        left -= len(raw)
        if left <= 0:
            return
