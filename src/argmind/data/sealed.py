"""Cache files that are made once: a binary file, and beside it a record with its size and digest.

The record is written last, so a file without one is not whole. What a file holds is told by its
name, which carries a fingerprint of everything it was made from.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from argmind.data.storage import locked, read_record, replacing, write_record

#: Up to this size the digest is checked whenever a file is opened; it takes well under 0.1 s.
DIGEST_ALWAYS_BYTES = 64 << 20
_ABSENT = "absent"

#: ``write(data)`` appends to the file being made.
Write = Callable[[bytes], object]
#: Makes the whole content with ``write`` and returns what the record is to say of it.
Make = Callable[[Write], Mapping[str, Any]]

_log = logging.getLogger(__name__)


def sealed(path: Path, make: Make, *, what: str, verify: bool = False) -> dict[str, Any]:
    """The record of the file at ``path``, which is made now unless it is there and intact.

    A damaged file is made again, with a warning in the log that calls it ``what``. Processes that
    ask at once wait for the first of them. If ``make`` fails nothing is left.

    Args:
        verify: check the digest of files of any size, not only of small ones.

    Raises:
        UserError: a full disk or a folder that cannot be written; and what ``make`` raises.
    """
    if _problem(path, verify):
        with locked(path):
            problem = _problem(path, verify)
            if problem not in ("", _ABSENT):
                _log.warning("the %s %s is damaged (%s): making it again", what, path, problem)
            if problem:
                _make(path, make)
    return read_record(_record(path))


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


def _problem(path: Path, verify: bool) -> str:
    """What keeps a file from being used; empty if nothing does."""
    try:
        record = read_record(_record(path))
        size = path.stat().st_size
        if size != record["bytes"]:
            return f"{size} bytes on disk, {record['bytes']} were written"
        if verify or size <= DIGEST_ALWAYS_BYTES:
            with path.open("rb") as handle:
                found = hashlib.file_digest(handle, _hasher).hexdigest()
            if found != record["digest"]:
                return "its digest is wrong"
        return ""
    except (FileNotFoundError, KeyError):  # no file, or an intact record of an older layout
        return _ABSENT
    except (OSError, ValueError) as error:
        return str(error)


def _make(path: Path, make: Make) -> None:
    hasher, written = _hasher(), 0
    with replacing(path) as handle:

        def write(data: bytes) -> None:
            nonlocal written
            handle.write(data)
            hasher.update(data)
            written += len(data)

        facts = make(write)
    write_record(_record(path), {**facts, "bytes": written, "digest": hasher.hexdigest()})


def _hasher() -> Any:
    return hashlib.blake2b(digest_size=16)
