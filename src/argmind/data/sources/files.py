"""Local text: a file, a folder or a glob."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from argmind.data.base import digest_of
from argmind.data.paths import find_files
from argmind.data.sources._readers import (
    content_digest,
    opened,
    read_text,
    reader_for,
)
from argmind.data.sources.base import Piece, Source
from argmind.errors import UserError
from argmind.registry import register

#: What is picked up from a folder.
SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".parquet")


@register("source", "files")
class FileSource(Source):
    """A file, folder or glob of .txt, .jsonl (each also .gz) and .parquet."""

    def __init__(self, path: str, field: str = "text"):
        self.name, self.field = path, field
        try:
            found = find_files(
                path, SUFFIXES, "source", "Name other text files one by one or with a glob."
            )
            sizes = [file.stat().st_size for file in found]
        except OSError as error:
            raise UserError(f"cannot read {path[:200]}: {error.strerror or error}.") from error
        self.paths = [file for file, size in zip(found, sizes, strict=True) if size]
        if not self.paths:
            what = "is an empty file" if len(sizes) == 1 else f"holds {len(sizes)} files, all empty"
            raise UserError(f"{path} {what}: there is no text to learn from.")
        self.total_bytes = sum(sizes)

    @classmethod
    def from_spec(cls, argument: str, field: str) -> Source:
        """Open ``files:PATH``, a path that could be taken for something else."""
        return cls(argument, field)

    @cached_property
    def fingerprint(self) -> str:
        """Of the content, in order, and how it is read: equal for a copy in another place."""
        files = []
        for path in self.paths:
            reader = reader_for(path)
            field = None if reader is read_text else self.field
            files.append([reader.__name__, field, path.suffix == ".gz", content_digest(path)])
        return digest_of("files", files)

    def pieces(self) -> Iterator[Piece]:
        done = 0
        for path in self.paths:
            with opened(path) as (raw, content):
                for text, ends in reader_for(path)(content, path, self.field):
                    yield Piece(text, ends, done + raw.tell())
            done += path.stat().st_size
