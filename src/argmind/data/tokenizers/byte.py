"""Bytes as tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from argmind.data.base import digest_of
from argmind.data.sources.base import Source
from argmind.data.storage import replacing
from argmind.data.tokenizers.base import FILE_NAME, Ids, Tokenizer, valid_text
from argmind.errors import UserError
from argmind.registry import register

_SAVED = {"argmind_tokenizer": "byte"}


@register("tokenizer", "byte")
class ByteTokenizer(Tokenizer):
    """The 256 bytes of UTF-8 and an end of document: nothing to learn, nothing to install."""

    end_id = 256

    @classmethod
    def from_spec(cls, argument: str, source: Source | None, cache: Path) -> Tokenizer:  # noqa: ARG003
        """Open ``byte``."""
        if argument:
            raise UserError(f"'byte:{argument}': the byte tokenizer takes no argument.")
        return cls()

    @classmethod
    def reads(cls, saved: Any) -> bool:
        """Whether the content of a ``tokenizer.json`` means this tokenizer."""
        return saved == _SAVED

    @cached_property
    def pieces(self) -> Sequence[bytes]:
        return [*(bytes([value]) for value in range(256)), b""]

    @cached_property
    def fingerprint(self) -> str:
        return digest_of("byte")

    def encode(self, text: str) -> Ids:
        return np.frombuffer(valid_text(text).encode(), dtype=np.uint8).astype(np.int64)

    def save(self, folder: Path) -> None:
        with replacing(folder / FILE_NAME) as handle:
            handle.write(json.dumps(_SAVED).encode())
