"""The tokens of a source in a memory-mapped file, made once and found again by fingerprint.

``tokens-KEY.bin`` holds the ids, little-endian; ``tokens-KEY.json``, written after it, records its
size and digest. The key covers the text, the tokenizer, the limit and the schema below.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import Progress, digest_of
from argmind.data.sources.base import Piece, Source
from argmind.data.storage import cache_folder, locked, read_record, replacing, write_record
from argmind.data.tokenizers.base import Tokenizer
from argmind.errors import UserError

_SCHEMA = 1
#: Up to this size the digest is checked whenever a cache is opened; it takes well under 0.1 s.
DIGEST_ALWAYS_BYTES = 64 << 20
#: Text tokenised at a time, in characters.
_BATCH_CHARS = 4 << 20
_ABSENT = "absent"

_log = logging.getLogger(__name__)


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
    if _problem(path, verify):
        with locked(path):
            problem = _problem(path, verify)
            if problem not in ("", _ABSENT):
                _log.warning("the token cache %s is damaged (%s): making it again", path, problem)
            if problem:
                _make(path, source, tokenizer, limit_tokens, progress)
    record = read_record(_record(path))
    tokens = np.memmap(path, dtype=np.dtype(record["dtype"]), mode="r").view(np.ndarray)
    return CachedTokens(tokens=tokens, fingerprint=key, path=path, documents=record["documents"])


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


def _problem(path: Path, verify: bool) -> str:
    """What keeps a cache from being used; empty if nothing does."""
    try:
        record = read_record(_record(path))
        size = path.stat().st_size
        if size != record["tokens"] * np.dtype(record["dtype"]).itemsize:
            return f"{size} bytes on disk for {record['tokens']} tokens"
        if verify or size <= DIGEST_ALWAYS_BYTES:
            with path.open("rb") as handle:
                found = hashlib.file_digest(handle, _hasher).hexdigest()
            if found != record["digest"]:
                return "its digest is wrong"
        return ""
    except FileNotFoundError:
        return _ABSENT
    except (OSError, ValueError) as error:
        return str(error)


def _make(
    path: Path,
    source: Source,
    tokenizer: Tokenizer,
    limit_tokens: int | None,
    progress: Progress | None,
) -> None:
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")
    hasher, tokens, documents = _hasher(), 0, 0
    with replacing(path) as handle:
        for ids, done_bytes in _tokenised(source, tokenizer, limit_tokens):
            data = ids.astype(dtype).tobytes()
            handle.write(data)
            hasher.update(data)
            tokens += len(ids)
            documents += int((ids == tokenizer.end_id).sum())
            if progress:
                progress(done_bytes, source.total_bytes)
        if not tokens:
            raise UserError(f"{source.name}: there is no text in it.")
    record = {
        "source": source.name,
        "tokenizer": tokenizer.fingerprint,
        "dtype": dtype.str,
        "tokens": tokens,
        "documents": documents,
        "digest": hasher.hexdigest(),
    }
    write_record(_record(path), record)


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


def _hasher() -> Any:
    return hashlib.blake2b(digest_size=16)
