"""Data: source → tokenizer or decoder → cache → order → batch.

Names are imported when first used, so that reading the registry stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argmind.data.base import TrainingData
    from argmind.data.datasets.clips import ClipData
    from argmind.data.datasets.images import ImageData
    from argmind.data.datasets.text import TextData
    from argmind.data.images import open_image_source
    from argmind.data.sources import open_source
    from argmind.data.tokenizers import load_tokenizer, open_tokenizer
    from argmind.data.windows import evaluation_windows

__all__ = [
    "ClipData",
    "ImageData",
    "TextData",
    "TrainingData",
    "evaluation_windows",
    "load_tokenizer",
    "open_image_source",
    "open_source",
    "open_tokenizer",
]

_HOMES = {
    "ClipData": "argmind.data.datasets.clips",
    "ImageData": "argmind.data.datasets.images",
    "TextData": "argmind.data.datasets.text",
    "TrainingData": "argmind.data.base",
    "evaluation_windows": "argmind.data.windows",
    "load_tokenizer": "argmind.data.tokenizers",
    "open_image_source": "argmind.data.images",
    "open_source": "argmind.data.sources",
    "open_tokenizer": "argmind.data.tokenizers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'argmind.data' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
