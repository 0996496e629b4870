"""Matrices: rows with semicolons between, ``2 0; 0 4``."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from argmind.data.reasoning.base import Array, Samples
from argmind.data.reasoning.matrices import MatrixProblems
from argmind.reasoning.forms.base import Form, Unreadable, asked, number, require

#: An entry that is not seen.
UNSEEN = "?"


class MatrixForm(Form[MatrixProblems]):
    """Square matrices of the size that the run was trained on."""

    def read(self, line: str) -> Samples:
        """The matrices as the problems have them."""
        given = self._given(line)
        side = self.problems.side
        samples = self.problems.as_samples(
            [one[None] for one in given], np.zeros((1, side, side)), np.zeros(1)
        )
        return asked(*(samples[name][0] for name in ("given", "known", "places")))

    def write(self, given: Array, answer: Array) -> str:  # noqa: ARG002
        """The answer alone."""
        (matrix,) = self.problems.matrices(answer[None])
        return "; ".join(" ".join(f"{value:.4g}" for value in row) for row in matrix[0])

    def _given(self, line: str) -> list[NDArray[np.float64]]:
        """The matrices that are given."""
        return [self._matrix(line)]

    def _matrix(self, text: str, unseen: bool = False) -> NDArray[np.float64]:
        side = self.problems.side
        rows = [row.replace(",", " ").split() for row in text.strip().strip(";").split(";")]
        if len(rows) != side or any(len(row) != side for row in rows):
            lengths = sorted({len(row) for row in rows})
            raise Unreadable(
                f"{len(rows)} rows of {' or '.join(map(str, lengths))} numbers: this run takes "
                f"matrices of {side} rows with {side} numbers each."
            )
        words = f"write {self.example}"
        return np.array(
            [
                [np.nan if unseen and word == UNSEEN else number(word, words) for word in row]
                for row in rows
            ]
        )


class InverseForm(MatrixForm):
    """The answer: the inverse."""

    example: ClassVar[str] = "2 0; 0 4"
    rule: ClassVar[str] = "the product with the matrix is not within 0.1 of 1"


class CompletionForm(MatrixForm):
    """The answer: all entries."""

    example: ClassVar[str] = "1 2; 2 ?"
    rule: ClassVar[str] = "seen entries are missed, or the rank is too high"

    def _given(self, line: str) -> list[NDArray[np.float64]]:
        values = self._matrix(line, unseen=True)
        seen = ~np.isnan(values)
        require(seen.any(), "no entry is given.")
        return [np.nan_to_num(values), seen.astype(float)]


class SumForm(MatrixForm):
    """The answer: the sum."""

    example: ClassVar[str] = "1 2; 3 4 + 5 6; 7 8"
    rule: ClassVar[str] = "an entry is more than 0.01 off the sum"

    def _given(self, line: str) -> list[NDArray[np.float64]]:
        parts = line.split(" + ")
        require(
            len(parts) == 2,
            f"write two matrices with a + of its own between, such as {self.example}.",
        )
        return [self._matrix(part) for part in parts]
