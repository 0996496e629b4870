"""A tokenizer of the ``tokenizers`` library behind our interface."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from argmind.data.base import digest_of, optional_module
from argmind.data.storage import replacing
from argmind.data.tokenizers.base import FILE_NAME, Ids, Tokenizer, valid_text
from argmind.errors import UserError

END = "<|end|>"
#: What the families of published tokenizers call the end of a document.
KNOWN_ENDS = (END, "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")


class LibraryTokenizer(Tokenizer):
    """Wraps a ``tokenizers.Tokenizer``.

    The bytes of an id are exact for byte-level and SentencePiece vocabularies. A vocabulary
    without a known end of document gets one as a further id.
    """

    def __init__(self, inner: Any):
        self.inner = inner
        # Text of a document that reads like a special token must not become one.
        inner.encode_special_tokens = True
        inner.no_padding()
        inner.no_truncation()
        known = [name for name in KNOWN_ENDS if inner.token_to_id(name) is not None]
        if not known:
            inner.add_special_tokens([END])
        self.end_id = inner.token_to_id(known[0] if known else END)
        self._saved = json.loads(inner.to_str())
        self._byte_level = '"ByteLevel"' in json.dumps(self._saved["decoder"])

    @classmethod
    def from_saved(cls, saved: Any, where: str) -> LibraryTokenizer:
        """From the content of a ``tokenizer.json``.

        Raises:
            UserError: it is not one.
        """
        try:
            return cls(library(where).Tokenizer.from_str(json.dumps(saved)))
        except UserError:
            raise
        except Exception as error:  # the library raises bare Exception
            raise UserError(f"{where} is not a tokenizer.json ({error}).") from error

    @cached_property
    def fingerprint(self) -> str:
        return digest_of("tokenizers", self._saved)

    @cached_property
    def pieces(self) -> Sequence[bytes]:
        vocabulary: dict[str, int] = self.inner.get_vocab(with_added_tokens=True)
        added = {token["id"]: token for token in self._saved["added_tokens"]}
        pieces = [b""] * (max(vocabulary.values()) + 1)
        for token, index in vocabulary.items():
            if index in added:
                pieces[index] = b"" if added[index]["special"] else token.encode()
            else:
                pieces[index] = _byte_level(token) if self._byte_level else _sentence_piece(token)
        pieces[self.end_id] = b""
        return pieces

    def encode(self, text: str) -> Ids:
        encoded = self.inner.encode(valid_text(text), add_special_tokens=False)
        return np.array(encoded.ids, dtype=np.int64)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        sound = [valid_text(text) for text in texts]
        encoded = self.inner.encode_batch_fast(sound, add_special_tokens=False)
        return [np.array(item.ids, dtype=np.int64) for item in encoded]

    def decode(self, ids: ArrayLike) -> str:
        if self._byte_level:
            return super().decode(ids)
        return self.inner.decode(np.asarray(ids, dtype=np.int64).ravel().tolist())

    def save(self, folder: Path) -> None:
        with replacing(folder / FILE_NAME) as handle:
            handle.write(json.dumps(self._saved, ensure_ascii=False).encode())


def library(purpose: str) -> Any:
    """The ``tokenizers`` package.

    Raises:
        UserError: it is not installed.
    """
    return optional_module("tokenizers", f"the tokenizer {purpose}", "text")


def _byte_alphabet() -> dict[str, int]:
    # GPT-2's printable stand-ins: visible Latin-1 characters are themselves, the rest follow 255.
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [value for value in range(256) if value not in shown]
    characters = [*map(chr, shown), *(chr(256 + place) for place in range(len(hidden)))]
    return dict(zip(characters, [*shown, *hidden], strict=True))


_BYTE_OF = _byte_alphabet()


def _byte_level(token: str) -> bytes:
    return bytes(_BYTE_OF[character] for character in token)


def _sentence_piece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()
