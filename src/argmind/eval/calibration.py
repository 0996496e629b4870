"""Does low energy mean a good answer?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from argmind.eval.statistics import Interval, auroc, bootstrap, bootstrap_mean, spearman

Array = NDArray[Any]
#: Enough for the ends of a 95 % interval of a rank correlation, which is slow to compute.
_RESAMPLES = 300
_TENTHS = 10


class Tenth(NamedTuple):
    """A tenth of the predictions, by their energy."""

    energy: float  # mean
    quality: Interval


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The energy of every prediction beside how good it was.

    ``rank`` is Spearman's correlation of the two; ``tenths`` go from least to most energy, without
    what is not finite; ``auroc``: how well low energy tells right from wrong, where answers are
    one or the other.
    """

    energies: Array
    quality: Array
    rank: Interval
    tenths: Sequence[Tenth]
    auroc: Interval | None


def calibrate(energies: Array, quality: Array, seed: int = 0) -> Calibration:
    """Of predictions (samples, …); intervals are over samples, of tenths over predictions."""
    generator = np.random.default_rng(seed)
    right_or_wrong = bool(np.isin(quality, (0.0, 1.0)).all())
    return Calibration(
        energies=energies,
        quality=quality,
        rank=bootstrap(spearman, energies, quality, generator=generator, resamples=_RESAMPLES),
        tenths=_tenths(energies, quality, generator),
        auroc=bootstrap(
            lambda e, q: auroc(-e, q), energies, quality, generator=generator, resamples=_RESAMPLES
        )
        if right_or_wrong
        else None,
    )


def _tenths(energies: Array, quality: Array, generator: np.random.Generator) -> list[Tenth]:
    flat, good = energies.ravel(), quality.ravel()
    usable = np.isfinite(flat) & np.isfinite(good)
    flat, good = flat[usable], good[usable]
    if not len(flat):
        return []
    groups = np.array_split(np.argsort(flat, kind="stable"), min(_TENTHS, len(flat)))
    return [
        Tenth(float(flat[group].mean()), bootstrap_mean(good[group], generator, resamples=500))
        for group in groups
    ]
