"""How each format of local file becomes text, with an error that says where it goes wrong."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from argmind.data.base import optional_module
from argmind.data.sources.base import cut, wrong_field
from argmind.errors import UserError

_BLOCK_BYTES = 1 << 20

#: (piece of text, whether its document ends with it)
Texts = Iterator[tuple[str, bool]]
Reader = Callable[[BinaryIO, Path, str], Texts]


def read_text(stream: BinaryIO, path: Path, field: str) -> Texts:  # noqa: ARG001
    """A file of UTF-8 text is one document."""
    return cut(_decoded(stream, path))


def read_json_lines(stream: BinaryIO, path: Path, field: str) -> Texts:
    """One JSON object per line; its ``field`` is one document, null and blank lines are none."""
    offset = 0
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield from cut([_json_text(line, path, number, offset, field)])
        offset += len(line)


def read_parquet(stream: BinaryIO, path: Path, field: str) -> Texts:
    """One document per row, from the string column ``field``; null is none."""
    arrow = optional_module("pyarrow", f"reading {path}", "data")
    parquet = optional_module("pyarrow.parquet", f"reading {path}", "data")
    try:
        table = parquet.ParquetFile(stream)
        schema = table.schema_arrow
        if field not in schema.names:
            raise wrong_field(str(path), field, schema.names)
        kind = schema.field(field).type
        if str(kind) not in ("string", "large_string", "string_view"):
            raise UserError(f"{path}: field '{field}' holds {kind}, not text. Choose with --field.")
        for batch in table.iter_batches(batch_size=1024, columns=[field]):
            for text in batch.column(0).to_pylist():
                yield from cut([text or ""])
    except arrow.ArrowException as error:
        raise UserError(f"{path}: not a readable Parquet file ({error}).") from error


READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".jsonl": read_json_lines,
    ".parquet": read_parquet,
}


def reader_for(path: Path) -> Reader:
    """The reader a file's name asks for; any unknown name is taken for plain text."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    # A .json file is most often JSON lines; where it is not, the error on its first line says so.
    return READERS.get(".jsonl" if suffix == ".json" else suffix, read_text)


@contextmanager
def opened_raw(path: Path) -> Generator[BufferedReader]:
    """A file's own bytes.

    Raises:
        UserError: unreadable.
    """
    try:
        with path.open("rb") as raw:
            yield raw
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


@contextmanager
def opened(path: Path) -> Generator[tuple[BinaryIO, BinaryIO]]:
    """A file as (its own bytes, its unpacked content).

    Raises:
        UserError: unreadable, or gzip data that is cut off or damaged.
    """
    with opened_raw(path) as raw:
        if path.suffix.lower() != ".gz":
            yield raw, raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield raw, cast(BinaryIO, unpacked)
        except EOFError as error:
            raise UserError(
                f"{path}: the gzip data ends too early: the file is cut off. Copy or download it "
                "again."
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{path}: not a sound gzip file ({error}).") from error


def content_digest(path: Path) -> str:
    """Digest of a file's bytes, read in blocks."""
    with opened_raw(path) as raw:
        return hashlib.file_digest(raw, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _decoded(stream: BinaryIO, path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    while True:
        block = stream.read(_BLOCK_BYTES)
        if (nul := block.find(b"\0")) >= 0:
            raise _binary(path, offset + nul, "a zero byte")
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            kept = len(error.object) - len(block)
            raise _binary(path, offset - kept + error.start, "invalid UTF-8") from error
        if not block:
            return
        # Some editors begin a file with a byte-order mark, which is not text.
        yield text.removeprefix("\ufeff") if offset == 0 else text
        offset += len(block)


def _binary(path: Path, offset: int, found: str) -> UserError:
    return UserError(
        f"{path}: not a text file ({found} at byte {offset:,}). Give UTF-8 text; "
        "`iconv -f OLD -t UTF-8` converts other encodings."
    )


def _json_text(line: bytes, path: Path, number: int, offset: int, field: str) -> str:
    if (nul := line.find(b"\0")) >= 0:
        raise _binary(path, offset + nul, "a zero byte")
    try:
        record: Any = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise _binary(path, offset + error.start, "invalid UTF-8") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(
            f"{path}:{number}: not valid JSON ({error}). Each line must be one JSON object."
        ) from error
    if not isinstance(record, dict):
        raise UserError(
            f"{path}:{number}: a JSON {type(record).__name__}, where each line must be one JSON "
            f'object such as {{"{field}": "…"}}.'
        )
    if field not in record:
        raise wrong_field(f"{path}:{number}", field, record)
    text = record[field]
    if text is not None and not isinstance(text, str):
        kind = type(text).__name__
        raise UserError(f"{path}:{number}: field '{field}' holds {kind}, not text.")
    return text or ""
