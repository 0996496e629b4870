"""Writing that survives a crash, and errors that tell the user what to do."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from argmind.errors import UserError

_ADVICE = {
    errno.ENOSPC: "Free some space on that disk.",
    errno.EDQUOT: "Free some space: the quota is used up.",
    errno.EFBIG: "The file would be larger than the limit set for this process.",
    errno.EROFS: "The disk is read-only: choose another folder.",
    errno.EACCES: "Choose a folder you may write to.",
    errno.EPERM: "Choose a folder you may write to.",
    errno.ENOTDIR: "A file stands where a folder is needed: choose another place.",
}


@contextmanager
def explained(what: str, afterwards: str = "") -> Generator[None]:
    """Turn an ``OSError`` while writing ``what`` into a :class:`UserError` with advice."""
    try:
        yield
    except OSError as error:
        parts = [
            f"cannot write {what}: {error.strerror or error}.",
            _ADVICE.get(error.errno or 0, ""),
            afterwards,
        ]
        raise UserError(" ".join(part for part in parts if part)) from error


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the entries of a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_atomically(path: Path, content: bytes) -> None:
    """Give ``path`` new content so that a reader sees the old or the new, never a mixture."""
    draft = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        write_synced(draft, content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def digest(path: Path) -> str:
    """BLAKE2b of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
