"""What a run writes down: means over a window of steps, as JSON lines and for TensorBoard.

``metrics.jsonl`` holds only what a resumed run repeats bit for bit; wall-clock figures go to
``timing.jsonl``, so that the first can be compared as bytes.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argmind.data.base import optional_module
from argmind.train.files import explained

Values = Mapping[str, float | int | None]


class Window:
    """Sums of named figures since the last log line, kept on the device."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.sums: Tensor | None = None

    def add(self, columns: list[str], values: Tensor) -> None:
        """Add one row; the columns must be those of the rows before."""
        if self.sums is None:
            self.columns, self.sums = columns, torch.zeros_like(values)
        if columns != self.columns:
            raise ValueError(f"metrics changed between steps: {self.columns} then {columns}")
        self.sums += values

    def read(self) -> dict[str, float]:
        """The sums so far; waits for the device."""
        values = [] if self.sums is None else self.sums.tolist()
        return dict(zip(self.columns, values, strict=True))

    def clear(self) -> None:
        """Start anew."""
        self.columns, self.sums = [], None

    def load(self, sums: Mapping[str, float], like: Tensor) -> None:
        """Take up sums given by :meth:`read`, with the device and dtype of ``like``."""
        self.clear()
        if sums:
            values = torch.tensor(list(sums.values()), dtype=torch.float64)
            self.add(list(sums), values.to(like))


def finite(values: Values) -> dict[str, float | int | None]:
    """The same with None for NaN and infinities, which JSON does not have."""
    return {k: v if v is None or math.isfinite(v) else None for k, v in values.items()}


class JsonLines:
    """A file of one JSON object a line, each handed to the system at once."""

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        """Open for appending after the first ``keep_bytes`` bytes; the rest is cut off."""
        self._path = path
        with explained(str(path)):
            self._file = path.open("ab", buffering=0)
            self._file.truncate(min(keep_bytes, self.size_bytes()))

    def size_bytes(self) -> int:
        """Length of the file so far."""
        return os.fstat(self._file.fileno()).st_size

    def write(self, values: Mapping[str, Any]) -> None:
        """Append one object."""
        line = json.dumps(values, allow_nan=False).encode() + b"\n"
        with explained(str(self._path)):
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Wait until all lines are on the disk."""
        with explained(str(self._path)):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def lines_until(path: Path, step: int) -> tuple[int, dict[str, Any]]:
    """Length in bytes of the lines up to ``step``, and the last of them ({} if there is none)."""
    length, last = 0, {}
    if not path.exists():
        return length, last
    with path.open("rb") as file:
        for line in file:
            try:
                values = json.loads(line)
            except ValueError:  # cut off by a kill
                break
            if values["step"] > step:
                break
            length, last = length + len(line), values
    return length, last


class TensorBoard:
    """Scalars for TensorBoard, under ``<run>/tensorboard``."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=resumed_step + 1)

    def write(self, step: int, split: str, values: Values) -> None:
        """Write every figure that has a value."""
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


def require_tensorboard() -> None:
    """Raise a :class:`UserError` unless TensorBoard is installed."""
    optional_module("tensorboard", "training.tensorboard=true", "tensorboard")
