"""Problems of real matrices: inverse, low-rank completion, sums.

Distributions and harder sets are those of IRED (Du, Mao, Tenenbaum 2024, arXiv 2406.11179), whose
figures are mean squared errors over all entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.reasoning.base import Array, Problems, Samples, everywhere
from argmind.data.reasoning.draws import Draws
from argmind.registry import register


class MatrixProblems(Problems):
    """Square matrices in, one square matrix out; tokens are rows, or single elements.

    A token's numbers are those of its row in each of the given matrices, one matrix after another.
    """

    repeats = False
    #: Matrices that are given.
    given_matrices = 1

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        side: int = 20
        tokens: Literal["rows", "elements"] = "rows"

        def __post_init__(self) -> None:
            if self.side < 2:
                raise ValueError(f"side must be at least 2, got {self.side}")

    def __init__(self, config: Config, cache_dir: Path | None = None) -> None:
        super().__init__(config, cache_dir)
        self.side, self.by_rows = config.side, config.tokens == "rows"
        index = np.arange(self.side)
        grid = np.stack(np.meshgrid(index, index, indexing="ij"), axis=-1).reshape(-1, 2)
        self._places = index[:, None] if self.by_rows else grid

    @property
    def inputs(self) -> dict[str, Any]:
        """Numbers in, numbers out; row, and for elements column."""
        width = self.side if self.by_rows else 1
        return {
            "tokens": len(self._places),
            "places": (self.side,) * self._places.shape[1],
            "numbers": width,
            "given_numbers": self.given_matrices * width,
        }

    def as_samples(self, given: list[Array], target: Array, difficulty: Array) -> Samples:
        """Matrices (n, side, side) as tokens."""
        tokens = [self._tokens(matrix) for matrix in given]
        return {
            "given": np.concatenate(tokens, axis=-1).astype(np.float32),
            "target": self._tokens(target).astype(np.float32),
            "known": np.zeros((len(target), len(self._places)), dtype=bool),
            "places": everywhere(self._places, len(target)),
            "difficulty": difficulty.astype(np.float32),
        }

    def matrices(self, tokens: Array) -> list[NDArray[np.float64]]:
        """Tokens (n, L, G) as the matrices (n, side, side) they hold."""
        parts = np.split(tokens, tokens.shape[-1] // (self.side if self.by_rows else 1), axis=-1)
        return [part.reshape(-1, self.side, self.side).astype(np.float64) for part in parts]

    def _tokens(self, matrix: Array) -> Array:
        return matrix if self.by_rows else matrix.reshape(len(matrix), -1, 1)


@register("problem", "inverse")
class Inverse(MatrixProblems):
    """Invert ``A = 2 M Mᵀ + c I``, M uniform in [−1, 1]; c = 0.5, hard: 0.1.

    Correct: every entry of ``A X − I`` within 0.1. ``difficulty``: log₁₀ of the condition number.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(MatrixProblems.Config):
        pass

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:  # noqa: ARG002
        """A symmetric positive matrix and its inverse."""
        m = 2 * draws.uniform(self.side, self.side) - 1
        ridge = 0.1 if split == "hard" else 0.5
        a = 2 * m @ m.transpose(0, 2, 1) + ridge * np.eye(self.side)
        return self.as_samples([a], np.linalg.inv(a), np.log10(np.linalg.cond(a)))

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """``|A X − I| ≤ 0.1`` everywhere."""
        (a,), (x,) = self.matrices(given), self.matrices(answer)
        return np.abs(a @ x - np.eye(self.side)).max(axis=(1, 2)) <= 0.1


@register("problem", "completion")
class Completion(MatrixProblems):
    """Complete ``U Vᵀ / 20 + 0.1 ε`` of rank side / 2, half of it seen; hard: ``U Vᵀ / 5``.

    Given are the seen entries (0 elsewhere) and which they are. Correct: seen entries within 0.3,
    and beyond the rank no more than noise (a share of hidden entries is free: compare the error).
    ``difficulty``: the share of hidden entries.
    """

    given_matrices = 2

    @dataclass(frozen=True, kw_only=True)
    class Config(MatrixProblems.Config):
        pass

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:  # noqa: ARG002
        """A noisy matrix of low rank, a random half of its entries seen."""
        side, rank = self.side, self.side // 2
        u, v = draws.normal(side, rank), draws.normal(side, rank)
        scale = 5 if split == "hard" else 20
        matrix = u @ v.transpose(0, 2, 1) / scale + 0.1 * draws.normal(side, side)
        seen = draws.below(2, side, side)
        return self.as_samples([matrix * seen, seen], matrix, 1 - seen.mean(axis=(1, 2)))

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """Seen entries agree, and the singular values after the rank are those of noise."""
        (values, seen), (matrix,) = self.matrices(given), self.matrices(answer)
        agrees = (np.abs(matrix - values) * seen).max(axis=(1, 2)) <= 0.3
        rest = np.linalg.svd(matrix, compute_uv=False)[:, self.side // 2 :]
        # The largest singular value of noise alone is about 2 σ √side.
        return agrees & (rest.max(axis=1) <= 0.2 * self.side**0.5)


@register("problem", "vector_sum")
class VectorSum(MatrixProblems):
    """Add two arrays of numbers in [−1, 1]; hard: in [−2.5, 2.5].

    Correct: every entry within 0.01. ``difficulty``: the largest number given.
    """

    given_matrices = 2

    @dataclass(frozen=True, kw_only=True)
    class Config(MatrixProblems.Config):
        pass

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:  # noqa: ARG002
        """Two arrays and their sum."""
        scale = 2.5 if split == "hard" else 1.0
        a, b = (scale * (2 * draws.uniform(self.side, self.side) - 1) for _ in range(2))
        largest = np.maximum(np.abs(a), np.abs(b)).max(axis=(1, 2))
        return self.as_samples([a, b], a + b, largest)

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """``|a + b − y| ≤ 0.01`` everywhere."""
        (a, b), (y,) = self.matrices(given), self.matrices(answer)
        return np.abs(a + b - y).max(axis=(1, 2)) <= 0.01
