"""Means with intervals, rank correlation and the units that losses are told in (numpy only)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class Interval(NamedTuple):
    """A figure and the range it plausibly lies in; ``None`` ends mean that no range is known."""

    value: float
    low: float | None = None
    high: float | None = None

    def map(self, function: Callable[[float], float]) -> Interval:
        """The same interval in another unit; ``function`` must increase."""
        ends = [None if end is None else float(function(end)) for end in (self.low, self.high)]
        return Interval(float(function(self.value)), *ends)


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    generator: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile bootstrap of ``statistic(*arrays)``; rows (sequences) are drawn together.

    Predictions inside one sequence are correlated, so whole rows are drawn, never single ones.
    No range is given for fewer than two rows, a non-finite entry, or an undefined draw.

    Raises:
        ValueError: the arrays have no rows, or not the same number of rows.
    """
    tables = [np.asarray(array) for array in arrays]
    rows = _common_rows(tables)
    value = float(statistic(*tables))
    if rows < 2 or not all(np.isfinite(table).all() for table in tables):
        return Interval(value)
    draws = np.empty(resamples)
    for i in range(resamples):
        chosen = generator.integers(rows, size=rows)
        draws[i] = statistic(*(table[chosen] for table in tables))
    if not np.isfinite(draws).all():
        return Interval(value)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def bootstrap_mean(
    values: ArrayLike,
    generator: np.random.Generator,
    mask: ArrayLike | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Mean over all predictions of ``values`` (sequences, ...), resampling whole sequences.

    ``mask`` (same shape, true = counts) leaves out padding; sequences weigh by what they hold.

    Raises:
        ValueError: no values, or values and mask of different shapes.
    """
    table = _as_rows(values)
    counted = np.ones(table.shape, bool) if mask is None else _as_rows(mask).astype(bool)
    if counted.shape != table.shape:
        raise ValueError(f"mask {counted.shape} and values {table.shape} differ in shape")
    counts = counted.sum(1)
    filled = counts > 0
    if not filled.any():
        raise ValueError("no values to average")
    sums = np.where(counted, table, 0.0).sum(1)

    def ratio(total: Array, count: Array) -> float:
        return float(total.sum() / count.sum())

    return bootstrap(
        ratio,
        sums[filled],
        counts[filled],
        generator=generator,
        resamples=resamples,
        confidence=confidence,
    )


def bootstrap_difference(
    first: ArrayLike,
    second: ArrayLike,
    generator: np.random.Generator,
    mask: ArrayLike | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Mean of ``first - second``, two models on the same sequences: a paired comparison.

    Raises:
        ValueError: the two differ in shape, or hold no values.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise ValueError(f"a paired difference needs equal shapes, got {a.shape} and {b.shape}")
    with np.errstate(invalid="ignore"):  # masked places may hold anything
        difference = a - b
    return bootstrap_mean(difference, generator, mask, resamples, confidence)


def share(good: ArrayLike) -> Interval:
    """Share of true entries with its 95 % score interval, which keeps a width at none and at all.

    Source: E. B. Wilson, JASA 22 (1927).

    Raises:
        ValueError: no entries.
    """
    flags = np.asarray(good, bool).reshape(-1)
    if not flags.size:
        raise ValueError("no entries to take the share of")
    count, value, z2 = flags.size, float(flags.mean()), 1.959964**2
    middle = (value + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (value * (1 - value) + z2 / (4 * count)) / count) / (1 + z2 / count)
    return Interval(value, min(value, middle - half), max(value, middle + half))


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean, least and greatest of one figure over training seeds.

    The range is the seeds' spread itself: with the usual three seeds a t-interval would be 2.5
    standard deviations wide on each side and rest on normality that cannot be checked.

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("no seeds to average over")
    table = np.asarray(values, float)
    if len(table) < 2 or not np.isfinite(table).all():
        return Interval(float(table.mean()))
    return Interval(float(table.mean()), float(table.min()), float(table.max()))


def verdict(interval: Interval, reference: float) -> str:
    """How a cost compares with a reference, as far as its interval can tell (lower is better)."""
    if interval.low is None or interval.high is None or not math.isfinite(reference):
        return "not decided (no interval)"
    if interval.high < reference:
        return "better"
    if interval.low > reference:
        return "worse"
    return "no difference beyond the interval"


def ranks(values: ArrayLike) -> Array:
    """Ranks from 1 of a flat array; equal values share the mean of their ranks."""
    _, which, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which.reshape(-1)]


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Rank correlation in [-1, 1], ties sharing ranks; NaN where it is undefined.

    Undefined: fewer than two pairs, an array that is constant, a non-finite entry.

    Raises:
        ValueError: the two differ in size.
    """
    a, b = np.asarray(first, float).reshape(-1), np.asarray(second, float).reshape(-1)
    if a.size != b.size:
        raise ValueError(f"a correlation needs pairs, got {a.size} and {b.size} values")
    if a.size < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(np.clip((x @ y) / scale, -1, 1)) if scale > 0 else math.nan


def auroc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Chance that a positive case scores above a negative one, ties counting half.

    NaN when either class is empty or a score is NaN.
    """
    flat, labels = np.asarray(scores, float).reshape(-1), np.asarray(positive, bool).reshape(-1)
    positives = int(labels.sum())
    negatives = labels.size - positives
    if positives == 0 or negatives == 0 or np.isnan(flat).any():
        return math.nan
    above = ranks(flat)[labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def auroc_within(scores: ArrayLike, positive: ArrayLike) -> float:
    """The same of two cases of one column, over all such pairs: columns alone tell nothing then.

    NaN where no column has both classes.
    """
    table, labels = np.asarray(scores, float), np.asarray(positive, bool)
    pairs = labels.sum(0) * (~labels).sum(0)
    told = [auroc(table[:, at], labels[:, at]) for at in np.flatnonzero(pairs)]
    return float(np.average(told, weights=pairs[pairs > 0])) if told else math.nan


def perplexity(mean_nats: float) -> float:
    """exp(mean loss): of the mean, not the mean of the exponentials."""
    return math.exp(mean_nats) if mean_nats < 700 else math.inf


def bits_per_byte(mean_nats: float, bytes_per_token: float) -> float:
    """nats per token / ln 2 / bytes per token: comparable between tokenizers.

    Raises:
        ValueError: ``bytes_per_token`` is not positive.
    """
    if not bytes_per_token > 0:
        raise ValueError(f"bytes_per_token must be positive, got {bytes_per_token}")
    return mean_nats / math.log(2) / bytes_per_token


def _as_rows(values: ArrayLike) -> Array:
    table = np.asarray(values, float)
    if table.ndim == 0 or table.size == 0:
        raise ValueError("no values to average")
    return table.reshape(len(table), -1)


def _common_rows(tables: Sequence[Array]) -> int:
    sizes = {len(table) if table.ndim else 0 for table in tables}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"arrays to resample need the same rows, at least one; got {sizes}")
    return sizes.pop()
