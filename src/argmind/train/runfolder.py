"""The folder of a run: who may write to it, and what it says about itself."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from argmind.errors import UserError
from argmind.train.checkpoint import CheckpointStore
from argmind.train.files import explained, replace_atomically


class RunFolder:
    """``recipe.json``, ``metrics.jsonl``, ``timing.jsonl``, ``best.json`` and ``checkpoints/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = CheckpointStore(path / "checkpoints")

    def require_fresh(self) -> None:
        """Raise a :class:`UserError` if there is a run in the folder already."""
        if self.store.steps():
            raise UserError(
                f"{self.path} holds a run with checkpoints. Continue it with "
                f"`argmind train --resume {self.path}`, or choose another run folder."
            )

    def require_resumable(self) -> None:
        """Raise a :class:`UserError` if there is nothing to continue."""
        if not self.path.is_dir():
            raise UserError(f"there is no run folder {self.path} to resume.")
        if not self.store.steps():
            raise UserError(
                f"{self.path} has no committed checkpoint to resume from. Start it again without "
                "--resume."
            )

    @contextmanager
    def locked(self) -> Generator[None]:
        """Be the only process that writes here; the lock goes with the process.

        Raises:
            UserError: another process trains in this folder, or it cannot be written to.
        """
        with explained(f"run folder {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise UserError(
                    f"run folder {self.path} is in use by process {file.read().strip() or '?'}. "
                    "Wait for it, stop it, or choose another run folder."
                ) from error
            with explained(f"run folder {self.path}"):
                file.truncate(0)
                file.write(f"{os.getpid()}\n")
                file.flush()
            yield

    def clean(self) -> None:
        """Remove what a killed process left half-written; only under the lock."""
        self.store.clean()
        for path in self.path.glob("*.tmp-*"):
            path.unlink()

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Give a JSON file new content in one go."""
        content = json.dumps(value, indent=2).encode() + b"\n"
        with explained(str(self.path / name), self.store.advice()):
            replace_atomically(self.path / name, content)

    def best_step(self) -> int | None:
        """Step of the best checkpoint, None while there is none."""
        path = self.path / "best.json"
        return json.loads(path.read_bytes())["step"] if path.exists() else None
