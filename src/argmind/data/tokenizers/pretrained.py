"""Tokenizers made elsewhere: a tokenizer.json, or one of the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path

from argmind.data.sources.base import Source
from argmind.data.tokenizers._library import LibraryTokenizer, library
from argmind.data.tokenizers.base import FILE_NAME, Tokenizer
from argmind.data.tokenizers.byte import ByteTokenizer
from argmind.errors import UserError
from argmind.registry import register


@register("tokenizer", "file")
class FileTokenizer(LibraryTokenizer):
    """A tokenizer.json, or a folder (such as a run) that has one."""

    @classmethod
    def from_spec(cls, argument: str, source: Source | None, cache: Path) -> Tokenizer:  # noqa: ARG003
        """Open ``file:PATH``."""
        return load_tokenizer(Path(argument).expanduser())


@register("tokenizer", "hf")
class HubTokenizer(LibraryTokenizer):
    """The tokenizer of a model on the Hugging Face Hub: hf:NAME."""

    @classmethod
    def from_spec(cls, argument: str, source: Source | None, cache: Path) -> Tokenizer:  # noqa: ARG003
        """Open ``hf:NAME``."""
        if not argument:
            raise UserError("'hf:': name a model of the Hub, as in hf:openai-community/gpt2.")
        tokenizers = library(f"hf:{argument}")
        try:
            inner = tokenizers.Tokenizer.from_pretrained(argument)
        except Exception as error:  # the library raises bare Exception
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(
                f"cannot get the tokenizer hf:{argument}: {reason[0]} Check the name and the "
                "connection to the Hub, or give the path of a tokenizer.json."
            ) from error
        return cls(inner)


def load_tokenizer(path: Path) -> Tokenizer:
    """A saved tokenizer: a ``tokenizer.json`` or the folder it lies in. Reads JSON only.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        saved = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read the tokenizer {file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise UserError(f"{file} is not a tokenizer.json ({error}).") from error
    if ByteTokenizer.reads(saved):
        return ByteTokenizer()
    return FileTokenizer.from_saved(saved, str(file))
