"""Sorting: the rank of every number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.reasoning.base import Array, Problems, Samples
from argmind.data.reasoning.draws import Draws
from argmind.registry import register


@register("problem", "sorting")
class Sorting(Problems):
    """Which rank has each of some numbers in [0, 1)? Hard: all within a tenth of that range.

    ``difficulty``: −log₁₀ of the smallest gap.
    """

    repeats = False

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        length: int = 10

        def __post_init__(self) -> None:
            if self.length < 2:
                raise ValueError(f"length must be at least 2, got {self.length}")

    def __init__(self, config: Config, cache_dir: Path | None = None) -> None:
        super().__init__(config, cache_dir)
        self.length = config.length

    @property
    def inputs(self) -> dict[str, Any]:
        """A rank for every number; where it stands."""
        length = self.length
        return {"tokens": length, "places": (length,), "symbols": length, "given_numbers": 1}

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:  # noqa: ARG002
        """Random numbers and their ranks; numbers are far enough apart for float32."""
        ranks = draws.permutation(self.length)
        gaps = 0.02 + draws.uniform(self.length)
        values = (gaps.cumsum(1) - gaps[:, :1]) / gaps.sum(1, keepdims=True)
        if split == "hard":
            values = 0.1 * values + 0.9 * draws.uniform(1)
        given = np.take_along_axis(values, ranks, axis=1)
        smallest = np.diff(values, axis=1).min(1)
        return {
            "given": given[..., None].astype(np.float32),
            "target": ranks,
            "known": np.zeros(ranks.shape, dtype=bool),
            "places": np.broadcast_to(np.arange(self.length)[:, None], (*ranks.shape, 1)).copy(),
            "difficulty": -np.log10(smallest).astype(np.float32),
        }

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """Ranks are a permutation that brings the numbers into order."""
        whole = (np.sort(answer, axis=1) == np.arange(self.length)).all(1)
        order = np.argsort(answer, axis=1, kind="stable")
        values = np.take_along_axis(given[..., 0], order, axis=1)
        return whole & (np.diff(values, axis=1) >= 0).all(1)
