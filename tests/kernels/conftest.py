"""Chunks of few rows, so that small inputs take many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from argmind.kernels import vocabulary
from argmind.kernels.vocabulary import chunks


@pytest.fixture
def rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """``(rows, vocabulary)``: everything is chunked from now on, so many rows at a time."""

    def choose(rows: int, vocabulary: int) -> None:
        monkeypatch.setattr(chunks, "WHOLE_NUMBERS", -1)
        monkeypatch.setattr(chunks, "CHUNK_NUMBERS", rows * chunks.padded(vocabulary))
        monkeypatch.setattr(chunks, "CHUNKS_OF_A_GPU", 2**62)

    return choose


@pytest.fixture
def candidates_begin_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates with a number per token lie here as they do on a GPU."""
    for module in (chunks, vocabulary):
        monkeypatch.setattr(module, "begins_aligned", lambda _: True)
