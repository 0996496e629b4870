"""Text as windows of tokens, a part of them held out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from argmind.config import PartConfig
from argmind.data.base import Batch, Progress, digest_of
from argmind.data.cache import cached_tokens
from argmind.data.order import sample_at
from argmind.data.sources import Source, open_source
from argmind.data.tokenizers import Tokenizer, open_tokenizer
from argmind.data.windows import (
    Starts,
    Windows,
    evaluation_windows,
    every_start,
    split_starts,
    token_count,
)
from argmind.errors import UserError
from argmind.registry import register


@register("dataset", "text")
class TextData:
    """Text: windows of tokens in a shuffled order, spans all over the stream held out.

    Held-out and training windows share no token; the split does not depend on the seed. With
    ``eval_source`` nothing is cut off. A tokenizer that is learned from the data sees all of it.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        source: str = "python"  # file, folder, glob, hf:NAME[/config][:split] or python
        field: str = "text"  # where the text stands in JSON lines, Parquet, Hub datasets
        tokenizer: str = "byte"  # byte, bpe:SIZE, hf:NAME or a path
        context_tokens: int = 256
        eval_fraction: float = 0.05  # of the source is held out
        eval_source: str | None = None  # or other text is
        eval_limit_tokens: int | None = None  # hold out no more than this
        limit_tokens: int | None = None  # read no more of the source than this

        def __post_init__(self) -> None:
            if self.context_tokens < 1:
                raise ValueError(f"context_tokens must be at least 1, got {self.context_tokens}")
            if not 0 < self.eval_fraction < 1:
                raise ValueError(
                    f"eval_fraction must lie between 0 and 1, got {self.eval_fraction}; to train "
                    "on all of the source give an eval_source"
                )
            for name in ("eval_limit_tokens", "limit_tokens"):
                limit = getattr(self, name)
                if limit is not None and limit <= self.context_tokens:
                    raise ValueError(
                        f"{name}={limit} is less than one window of context_tokens + 1 = "
                        f"{self.context_tokens + 1} tokens"
                    )

    def __init__(
        self,
        config: Config,
        *,
        seed: int,
        texts: Iterable[str] | None = None,
        cache_dir: Path | None = None,
        tokenizer: Tokenizer | None = None,
        progress: Progress | None = None,
    ):
        """Read the text, or find its tokens in the cache.

        Args:
            texts: documents given from Python, in place of ``config.source``.
            tokenizer: one that is made already, in place of ``config.tokenizer``.
            progress: called with (bytes done, bytes in all or None) while text is tokenised.

        Raises:
            UserError: the text cannot be read or is too short, or a package is missing.
        """
        self.config, self.seed = config, seed
        source, eval_source = _sources(config, texts)
        self.tokenizer = tokenizer or open_tokenizer(config.tokenizer, source, cache_dir)
        cached = cached_tokens(
            source,
            self.tokenizer,
            folder=cache_dir,
            limit_tokens=config.limit_tokens,
            progress=progress,
        )
        count = len(cached.tokens)
        _require_windows(1 if eval_source else 2, count, source.name, config.context_tokens)

        def windows(starts: Starts) -> Windows:
            size, key = config.context_tokens, cached.fingerprint
            return Windows(cached.tokens, starts, size, self.tokenizer, key)

        if eval_source:
            self._training = windows(every_start(0, count, config.context_tokens))
            self._evaluation = evaluation_windows(
                eval_source,
                self.tokenizer,
                config.context_tokens,
                limit_tokens=config.eval_limit_tokens,
                cache_dir=cache_dir,
                progress=progress,
            )
        else:
            training, held_out = split_starts(
                count, config.context_tokens, config.eval_fraction, config.eval_limit_tokens
            )
            self._training, self._evaluation = windows(training), windows(held_out)

    @property
    def fingerprint(self) -> str:
        """Changes when the text, the tokenizer, the context or the split does."""
        return digest_of(self._training.fingerprint, self._evaluation.fingerprint)

    @property
    def samples_per_epoch(self) -> int:
        """Training windows."""
        return len(self._training)

    @property
    def model_inputs(self) -> dict[str, int]:
        """What a predictor must know of the data to be built."""
        return {"vocab_size": self.tokenizer.vocab_size}

    @property
    def evaluation_samples(self) -> int:
        """Held-out windows."""
        return len(self._evaluation)

    @property
    def evaluation_bytes_per_token(self) -> float:
        """UTF-8 bytes per held-out target: bits per byte = nats per token / ln 2 / this."""
        return self._evaluation.bytes_per_token

    def batch(self, first: int, count: int) -> Batch:
        """``{"tokens": int64 (count, S + 1)}``: context ``[:, :-1]``, targets ``[:, 1:]``."""
        positions = np.arange(first, first + count)
        return self._training.take(sample_at(self.seed, positions, len(self._training)))

    def evaluation(self, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out windows in order, at most ``limit`` of them."""
        return self._evaluation.batches(batch_size, limit)

    def save_assets(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        self.tokenizer.save(folder)


def _sources(config: TextData.Config, texts: Iterable[str] | None) -> tuple[Source, Source | None]:
    source = open_source(config.source if texts is None else texts, config.field)
    if config.eval_source is None:
        return source, None
    held_out = open_source(config.eval_source, config.field)
    if held_out.fingerprint == source.fingerprint:
        raise UserError(
            f"eval_source {held_out.name} is the training text itself: name other text, or leave "
            "it out to hold out a part of the source."
        )
    return source, held_out


def _require_windows(parts: int, tokens: int, name: str, context_tokens: int) -> None:
    needed = parts * (context_tokens + 1)
    if tokens >= needed:
        return
    what = "is shorter than one context" if tokens <= context_tokens else "is too short"
    purpose = " (one window to train on, one held out)" if parts == 2 else ""
    longest = tokens // parts - 1
    remedy = f" or set a context of at most {longest} tokens" if longest > 0 else ""
    raise UserError(
        f"{name} {what}: {token_count(tokens)}, where context_tokens={context_tokens} needs at "
        f"least {needed:,}{purpose}. Give more text{remedy}."
    )
