"""Text to token ids: bytes, byte pairs learned from the data, or a tokenizer made elsewhere."""

from __future__ import annotations

from pathlib import Path

from argmind import registry
from argmind.data.sources.base import Source
from argmind.data.storage import cache_folder
from argmind.data.tokenizers.base import Decoder, Tokenizer
from argmind.data.tokenizers.pretrained import load_tokenizer
from argmind.errors import UserError, suggestion

__all__ = ["Decoder", "Tokenizer", "load_tokenizer", "open_tokenizer"]


def open_tokenizer(
    spec: str, source: Source | None = None, cache_dir: Path | None = None
) -> Tokenizer:
    """The tokenizer that ``spec`` means: byte, bpe:SIZE, hf:NAME, or a path.

    Args:
        spec: also any other registered ``name:argument``.
        source: what a tokenizer that learns from data learns from.
        cache_dir: where a learned one is kept for the next time.

    Raises:
        UserError: no such tokenizer, or a package it needs is missing.
    """
    kind, _, argument = spec.partition(":")
    known = registry.names("tokenizer")
    if kind in known:
        return registry.find("tokenizer", kind).from_spec(argument, source, cache_folder(cache_dir))
    path = Path(spec).expanduser()
    if not path.exists():
        raise UserError(
            f"no such tokenizer: '{spec}'.{suggestion(kind, known)} Use byte, bpe:SIZE, hf:NAME or "
            "the path of a tokenizer.json."
        )
    return load_tokenizer(path)
