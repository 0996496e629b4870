"""Rows of datasets on the Hugging Face Hub, streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from argmind.data.base import optional_module
from argmind.data.sources._readers import content_digest
from argmind.errors import UserError

_SPEC = re.compile(r"(?P<name>[^:]+?)(?::(?P<split>[^:/]+))?")


class HubRows:
    """The rows of one split of a dataset of the Hub, or of a local dataset folder."""

    def __init__(self, dataset: str, config: str | None, split: str) -> None:
        self.dataset, self.config, self.split = dataset, config, split
        self.name = f"hf:{dataset}{f'/{config}' if config else ''}:{split}"
        self._datasets = optional_module("datasets", f"reading {self.name}", "data")

    @classmethod
    def from_spec(cls, argument: str) -> HubRows:
        """Open ``[owner/]name[/config][:split]`` or a local dataset folder.

        Two names are owner and dataset, as on the Hub; a third is the configuration. The split is
        ``train`` unless given.
        """
        match = _SPEC.fullmatch(argument.strip())
        if match is None:
            raise UserError(f"cannot read 'hf:{argument}': write hf:NAME[/config][:split].")
        path, split = match["name"], match["split"] or "train"
        parts = path.split("/")
        if len(parts) == 3 and all(parts) and not Path(path).exists():
            return cls("/".join(parts[:2]), parts[2], split)
        return cls(path, None, split)

    @cached_property
    def identity(self) -> list[Any]:
        """What they are called, and of a local folder the files: the Hub's are not read twice."""
        folder = Path(self.dataset)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        contents = [[file.name, content_digest(file)] for file in files]
        return [self.dataset, self.config, self.split, contents]

    def open(self) -> Any:
        """The streamed dataset: its ``features`` where the Hub tells them, and its rows.

        Raises:
            UserError: it cannot be read.
        """
        try:
            return self._datasets.load_dataset(
                self.dataset, self.config, split=self.split, streaming=True
            )
        except Exception as error:  # the library, the network and the Hub raise of every kind
            raise self._unreadable(error) from error

    def read(self, stream: Any) -> Iterator[dict[str, Any]]:
        """The rows of what :meth:`open` gave.

        Raises:
            UserError: it cannot be read.
        """
        try:
            yield from stream
        except Exception as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UserError:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return UserError(
            f"cannot read {self.name}: {reason[0]} Check the name, the split and the "
            "connection to the Hub, or give a local file."
        )
