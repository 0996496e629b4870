"""What a trainer and an evaluator ask of data, whatever its modality."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from argmind.errors import UserError

#: ``progress(done_bytes, total_bytes)`` while data is read; the total is None when unknown.
Progress = Callable[[int, int | None], None]

Batch = dict[str, Tensor]


@runtime_checkable
class TrainingData(Protocol):
    """Samples in an endless shuffled order, and a fixed held-out set."""

    @property
    def fingerprint(self) -> str:
        """Changes when any sample or the split does; says whether a resumed run sees its data."""
        ...

    @property
    def samples_per_epoch(self) -> int:
        """Training samples before the order starts a new permutation."""
        ...

    @property
    def model_inputs(self) -> dict[str, Any]:
        """What a predictor must know of the data to be built (text: ``vocab_size``)."""
        ...

    def batch(self, first: int, count: int) -> Batch:
        """Samples [first, first + count) of the endless order: a pure function of its arguments."""
        ...

    def evaluation(self, batch_size: int, limit: int | None = None) -> Iterable[Batch]:
        """The held-out samples in a fixed order, at most ``limit`` of them."""
        ...

    def save_assets(self, folder: Path) -> None:
        """Write what a loaded run needs to read its input (a tokenizer) into its folder."""
        ...


def digest_of(*parts: Any) -> str:
    """A 32-digit fingerprint of plain values."""
    plain = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(plain.encode(), digest_size=16).hexdigest()


def optional_module(name: str, purpose: str, extra: str) -> ModuleType:
    """Import a package that only some uses need.

    Raises:
        UserError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UserError(
            f"{purpose} needs the package '{package}': pip install 'argmind[{extra}]'. ({error})"
        ) from error
