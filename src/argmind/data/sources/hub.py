"""Datasets of the Hugging Face Hub, streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from argmind.data.base import digest_of, optional_module
from argmind.data.sources._readers import content_digest
from argmind.data.sources.base import Piece, Source, cut_documents, wrong_field
from argmind.errors import UserError
from argmind.registry import register

_SPEC = re.compile(r"(?P<name>[^:]+?)(?::(?P<split>[^:/]+))?")


@register("source", "hf")
class HubSource(Source):
    """A dataset of the Hugging Face Hub, streamed: hf:NAME[/config][:split]."""

    def __init__(self, dataset: str, config: str | None, split: str, field: str):
        self.dataset, self.config, self.split, self.field = dataset, config, split, field
        self.name = f"hf:{dataset}{f'/{config}' if config else ''}:{split}"
        self._datasets = optional_module("datasets", f"reading {self.name}", "data")

    @classmethod
    def from_spec(cls, argument: str, field: str) -> Source:
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
            return cls("/".join(parts[:2]), parts[2], split, field)
        return cls(path, None, split, field)

    @cached_property
    def fingerprint(self) -> str:
        """Of the name alone for the Hub, whose text is not read twice; of the files if local."""
        folder = Path(self.dataset)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        contents = [[file.name, content_digest(file)] for file in files]
        return digest_of("hf", self.dataset, self.config, self.split, self.field, contents)

    def pieces(self) -> Iterator[Piece]:
        return cut_documents(self._texts())

    def _texts(self) -> Iterator[str]:
        for number, row in enumerate(self._rows()):
            if self.field not in row:
                raise wrong_field(self.name, self.field, row)
            text = row[self.field]
            if text is None:
                continue
            if not isinstance(text, str):
                kind = type(text).__name__
                raise UserError(
                    f"{self.name}: field '{self.field}' of row {number} holds {kind}, not text."
                )
            yield text

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self._datasets.load_dataset(
                self.dataset, self.config, split=self.split, streaming=True
            )
        except Exception as error:  # the library, the network and the Hub raise of every kind
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(
                f"cannot read {self.name}: {reason[0]} Check the name, the split and the "
                "connection to the Hub, or give a local file."
            ) from error
