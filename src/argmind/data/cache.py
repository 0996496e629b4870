"""The tokens of a source in a memory-mapped file, made once and found again by fingerprint.

``tokens-KEY.bin`` holds the ids, little-endian; ``tokens-KEY.json``, written after it, records its
size and digest. The key covers the text, the tokenizer, the limit and the schema below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import Progress, digest_of
from argmind.data.sealed import Write, sealed
from argmind.data.sources.base import Piece, Source
from argmind.data.storage import cache_folder
from argmind.data.tokenizers.base import Tokenizer
from argmind.errors import UserError

_SCHEMA = 1
#: Text tokenised at a time, in characters.
_BATCH_CHARS = 4 << 20


@dataclass(frozen=True, kw_only=True)
class CachedTokens:
    """The ids of a source, each document followed by the end of document."""

    tokens: NDArray[Any]  # read-only, uint16 or uint32
    fingerprint: str
    path: Path
    documents: int


def cached_tokens(
    source: Source,
    tokenizer: Tokenizer,
    *,
    folder: Path | None = None,
    limit_tokens: int | None = None,
    progress: Progress | None = None,
    verify: bool = False,
) -> CachedTokens:
    """The tokens of a source, from the cache or made now.

    A damaged cache is made again, with a warning in the log. Processes that ask at once wait for
    the first of them.

    Args:
        folder: see :func:`argmind.data.storage.cache_folder`.
        limit_tokens: read no further than this many tokens.
        verify: check the digest of files of any size, not only of small ones.

    Raises:
        UserError: text that cannot be read, no text at all, a full disk.
    """
    key = digest_of(_SCHEMA, source.fingerprint, tokenizer.fingerprint, limit_tokens)
    path = cache_folder(folder) / f"tokens-{key}.bin"

    def make(write: Write) -> dict[str, Any]:
        return _write(write, source, tokenizer, limit_tokens, progress)

    record = sealed(path, make, what="token cache", verify=verify)
    tokens = np.memmap(path, dtype=np.dtype(record["dtype"]), mode="r").view(np.ndarray)
    return CachedTokens(tokens=tokens, fingerprint=key, path=path, documents=record["documents"])


def _write(
    write: Write,
    source: Source,
    tokenizer: Tokenizer,
    limit_tokens: int | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Tokenise the source; returns what the record says of the file."""
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")
    tokens, documents = 0, 0
    for ids, done_bytes in _tokenised(source, tokenizer, limit_tokens):
        write(ids.astype(dtype).tobytes())
        tokens += len(ids)
        documents += int((ids == tokenizer.end_id).sum())
        if progress:
            progress(done_bytes, source.total_bytes)
    if not tokens:
        raise UserError(f"{source.name}: there is no text in it.")
    return {
        "source": source.name,
        "tokenizer": tokenizer.fingerprint,
        "dtype": dtype.str,
        "tokens": tokens,
        "documents": documents,
    }


def _tokenised(
    source: Source, tokenizer: Tokenizer, limit_tokens: int | None
) -> Iterator[tuple[NDArray[np.int64], int]]:
    end = np.array([tokenizer.end_id])
    left = limit_tokens
    for pieces in _batches(source):
        parts: list[NDArray[np.int64]] = []
        encoded = tokenizer.encode_batch([piece.text for piece in pieces])
        for piece, ids in zip(pieces, encoded, strict=True):
            parts += [ids, end] if piece.ends else [ids]
        ids = np.concatenate(parts)[:left]
        yield ids, pieces[-1].done_bytes
        if left is not None:
            left -= len(ids)
            if left <= 0:
                return


def _batches(source: Source) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    held_chars = 0
    for piece in source.pieces():
        batch.append(piece)
        held_chars += len(piece.text)
        if held_chars >= _BATCH_CHARS:
            yield batch
            batch, held_chars = [], 0
    if batch:
        yield batch
