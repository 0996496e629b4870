"""The folder that a quickstart writes to."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from argmind.errors import UserError
from argmind.train.files import explained

DEFAULT = Path("runs/quickstart")


@contextmanager
def claimed(out: Path | None) -> Generator[Path]:
    """A folder of one's own: ``out``, or the first free of ``runs/quickstart``, ``…-2``, ``…-3``.

    It is taken away again if nothing was written to it.

    Raises:
        UserError: ``out`` is in use, or the folder cannot be made.
    """
    folder = _first_free() if out is None else _given(Path(out))
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()  # refuses to remove what is not empty


def _given(out: Path) -> Path:
    with explained(f"folder {out}"):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(
                f"{out} is in use: there is something in it already. Choose another --out, or "
                f"leave it away to get the next free {DEFAULT}-N."
            )
        out.mkdir(parents=True, exist_ok=True)
    return out


def _first_free() -> Path:
    for number in count(1):
        folder = DEFAULT if number == 1 else DEFAULT.with_name(f"{DEFAULT.name}-{number}")
        with explained(f"folder {folder}"), suppress(FileExistsError):
            # Made at once, so that two quickstarts started together do not share one.
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")
