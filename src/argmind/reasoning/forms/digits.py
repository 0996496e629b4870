"""Sums and products: ``12+345``."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from argmind.data.reasoning.arithmetic import UNKNOWN, ArithmeticProblems
from argmind.data.reasoning.base import Array, Samples
from argmind.reasoning.forms.base import Form, asked, require


class ArithmeticForm(Form[ArithmeticProblems]):
    """Two whole numbers with the sign between; up to as many digits as in the hard split."""

    def read(self, line: str) -> Samples:
        """Rows of digits, least significant first, as wide as problems of this length are."""
        problems, sign = self.problems, self.problems.sign
        words = [word.strip() for word in line.split(sign)]
        fits = len(words) == 2 and all(word.isascii() and word.isdigit() for word in words)
        require(fits, f"'{line}' is not of the form {self.example}.")
        words = [word.lstrip("0") or "0" for word in words]
        most = max(map(len, words))
        require(
            most <= problems.hard_digits,
            f"a number of {most} digits: this run takes up to {problems.hard_digits}.",
        )
        width = problems.width_of(max(most, problems.digits))
        rows = [[*map(int, word[::-1])] + [0] * (width - len(word)) for word in words]
        given = np.array([*rows, [UNKNOWN] * width])
        row, column = np.indices(given.shape)
        places = np.stack([row.ravel(), column.ravel()], axis=-1)
        return asked(given.ravel(), row.ravel() < 2, places)

    def write(self, given: Array, answer: Array) -> str:
        """``12+345=357``."""
        rows = np.where(given < UNKNOWN, given, answer).reshape(3, -1)
        a, b, result = ("".join(map(str, row[::-1])).lstrip("0") or "0" for row in rows)
        return f"{a}{self.problems.sign}{b}={result}"


class AdditionForm(ArithmeticForm):
    """Sums."""

    example: ClassVar[str] = "12+345"
    rule: ClassVar[str] = "the last number is not the sum"


class MultiplicationForm(ArithmeticForm):
    """Products."""

    example: ClassVar[str] = "12*34"
    rule: ClassVar[str] = "the last number is not the product"
