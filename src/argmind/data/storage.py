"""Files that appear whole or not at all, and the folder caches live in."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from argmind.data.base import digest_of
from argmind.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def cache_folder(given: Path | None = None) -> Path:
    """Where caches go: ``given``, else ``$ARGMIND_CACHE``, else ``~/.cache/argmind``."""
    if given is not None:
        return Path(given).expanduser()
    named = os.environ.get("ARGMIND_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "argmind"


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A new file that takes the place of ``path`` when complete; on any error nothing is left.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_record(path: Path, record: Any) -> None:
    """Write plain data as JSON with its digest.

    Raises:
        UserError: see :func:`replacing`.
    """
    with replacing(path) as handle:
        handle.write(json.dumps({"digest": digest_of(record), "record": record}).encode())


def read_record(path: Path) -> Any:
    """The plain data of :func:`write_record`.

    Raises:
        OSError: there is none.
        ValueError: it is damaged.
    """
    sealed = json.loads(path.read_bytes())
    try:
        record = sealed["record"]
        intact = sealed["digest"] == digest_of(record)
    except (TypeError, KeyError):
        intact, record = False, None
    if not intact:
        raise ValueError("its digest is wrong")
    return record


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold ``path``'s lock, so that of several processes one does the work and the others wait.

    Leftovers of writers that were killed are removed. On file systems without locks this waits
    for nothing, and every process does the work; :func:`replacing` keeps that safe.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("wb")
    except OSError as error:
        raise _unwritable(lock, error) from error
    with handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
            for leftover in path.parent.glob(f"{path.name}.*.tmp"):
                leftover.unlink(missing_ok=True)
        yield


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> UserError:
    if error.errno in _FULL:
        return UserError(
            f"disk full while writing {path}; nothing half-written was kept. Free some space, or "
            "choose another folder (ARGMIND_CACHE is the one for caches)."
        )
    return UserError(
        f"cannot write {path}: {error.strerror or error}. Choose another folder (ARGMIND_CACHE is "
        "the one for caches)."
    )
