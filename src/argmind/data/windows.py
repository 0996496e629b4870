"""Windows of S + 1 tokens over a stream: S contexts, each with the token that follows it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from argmind.data.base import Batch, Progress, digest_of
from argmind.data.cache import cached_tokens
from argmind.data.order import epoch_order
from argmind.data.sources.base import Source
from argmind.data.tokenizers.base import Tokenizer
from argmind.errors import UserError

#: The held-out part is spread over at most this many places of the stream, ...
_MOST_SPANS = 64
#: ... each at least this long, in windows, where there is text enough.
_LEAST_SPAN = 8

# Tokens counted at a time.
_BLOCK_TOKENS = 1 << 24

Starts = NDArray[np.int64]


class Windows:
    """Windows of a token stream, given by where each starts."""

    def __init__(
        self,
        tokens: NDArray[Any],
        starts: Starts,
        context_tokens: int,
        tokenizer: Tokenizer,
        fingerprint: str,
    ):
        self._tokenizer, self._starts = tokenizer, starts
        self._view = np.lib.stride_tricks.sliding_window_view(tokens, context_tokens + 1)
        places = hashlib.blake2b(starts.astype("<i8").tobytes(), digest_size=16).hexdigest()
        self.fingerprint = digest_of("windows", fingerprint, context_tokens, places)

    def __len__(self) -> int:
        return len(self._starts)

    def take(self, numbers: ArrayLike) -> Batch:
        """The windows of these numbers, as ``{"tokens": int64 (B, S + 1)}``."""
        rows = self._view[self._starts[np.asarray(numbers)]]
        return {"tokens": torch.from_numpy(rows.astype(np.int64))}

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
        """All windows, at most ``limit``, in a fixed order of which any beginning is a fair sample.

        The order is shuffled once and for all: the first windows of the text alone would often be
        of one kind.
        """
        order = epoch_order(0, 0, len(self))[:limit]
        for first in range(0, len(order), batch_size):
            yield self.take(order[first : first + batch_size])

    @cached_property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes per target: bits per byte = nats per token / ln 2 / this."""
        groups = np.array_split(self._starts, 1 + len(self) * self._view.shape[1] // _BLOCK_TOKENS)
        done = sum(self._tokenizer.byte_length(self._view[group, 1:]) for group in groups)
        return done / (len(self) * (self._view.shape[1] - 1))


def every_start(first: int, last: int, context_tokens: int) -> Starts:
    """Starts of the windows that fit in tokens [first, last), each target in exactly one."""
    return np.arange(first, last - context_tokens, context_tokens, dtype=np.int64)


def split_starts(
    tokens: int, context_tokens: int, held_out_share: float, limit_tokens: int | None = None
) -> tuple[Starts, Starts]:
    """Starts of training and of held-out windows, which share no token.

    The stream is divided into equal sections, and the end of each is held out: text is often many
    kinds one after another, of which a single tail would be the last. Little text is one section.

    Args:
        tokens: in the stream; at least two windows.
        held_out_share: of the tokens, as far as whole windows allow; both parts get one at least.
        limit_tokens: hold out at most this many.
    """
    most = (tokens - context_tokens - 2) // context_tokens
    held_out = min(most, max(1, round(tokens * held_out_share / context_tokens)))
    if limit_tokens is not None:
        held_out = max(1, min(held_out, limit_tokens // context_tokens))
    least_part = min(held_out, tokens // context_tokens - held_out)
    sections = min(_MOST_SPANS, max(1, least_part // _LEAST_SPAN))
    span_tokens = held_out // sections * context_tokens + 1
    edges = [tokens * number // sections for number in range(sections + 1)]
    training = [
        every_start(first, last - span_tokens, context_tokens) for first, last in pairwise(edges)
    ]
    held = [every_start(last - span_tokens, last, context_tokens) for last in edges[1:]]
    return np.concatenate(training), np.concatenate(held)


def evaluation_windows(
    source: Source,
    tokenizer: Tokenizer,
    context_tokens: int,
    *,
    limit_tokens: int | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Windows:
    """A whole source as held-out windows, read by a given tokenizer.

    What is left over at the end, less than one window, is not used.

    Raises:
        UserError: the text is shorter than one window, or cannot be read.
    """
    cached = cached_tokens(
        source, tokenizer, folder=cache_dir, limit_tokens=limit_tokens, progress=progress
    )
    if len(cached.tokens) <= context_tokens:
        raise UserError(
            f"{source.name} is shorter than one context: {token_count(len(cached.tokens))}, where "
            f"context_tokens={context_tokens} needs at least {context_tokens + 1}. Give more text."
        )
    starts = every_start(0, len(cached.tokens), context_tokens)
    return Windows(cached.tokens, starts, context_tokens, tokenizer, cached.fingerprint)


def token_count(tokens: int) -> str:
    """``"1 token"``, ``"1,234 tokens"``."""
    return f"{tokens:,} token{'' if tokens == 1 else 's'}"
