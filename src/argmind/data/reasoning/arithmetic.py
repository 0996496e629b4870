"""Addition and multiplication as digits in columns; harder with longer operands.

Three rows of digits, least significant first: two operands and their result. Columns are counted
from a random one on, so that all places are learnt on short operands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.reasoning.base import Array, Problems, Samples
from argmind.data.reasoning.draws import Draws
from argmind.registry import register

#: The symbol of a digit that is asked for.
UNKNOWN = 10


class ArithmeticProblems(Problems):
    """Digits are tokens, row by row; the result's are asked for."""

    #: Columns of the result for operands of one digit, and for every further digit.
    columns: tuple[int, int]
    sign: ClassVar[str]

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: Most digits of an operand in training; shorter ones are led by zeros.
        digits: int = 6
        #: Digits of every operand in the hard split.
        hard_digits: int = 9

        def __post_init__(self) -> None:
            if not 1 <= self.digits < self.hard_digits:
                raise ValueError(
                    f"digits must be at least 1 and fewer than hard_digits "
                    f"({self.hard_digits}), got {self.digits}"
                )

    def __init__(self, config: Config, cache_dir: Path | None = None) -> None:
        super().__init__(config, cache_dir)
        self.digits, self.hard_digits = config.digits, config.hard_digits

    @property
    def inputs(self) -> dict[str, Any]:
        """Ten digits, and unknown; row and column."""
        return {
            "tokens": 3 * self._width("train"),
            "places": (3, self._width("hard")),
            "symbols": 10,
            "given_symbols": 11,
        }

    def _width(self, split: str) -> int:
        return self.width_of(self.hard_digits if split == "hard" else self.digits)

    def width_of(self, digits: int) -> int:
        """Columns of problems with operands of up to so many digits."""
        return self.columns[0] + self.columns[1] * (digits - 1)

    def result(self, a: Array, b: Array) -> Array:
        """Column sums (n, columns) before carrying, of operands (n, columns)."""
        raise NotImplementedError

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:
        """Operands with a random number of digits each; in the hard split with all of them."""
        width, count = self._width(split), len(index)
        operands = np.stack([self._operand(split, draws, width) for _ in range(2)], axis=1)
        raw = self.result(operands[:, 0], operands[:, 1])
        result, carried = carry(raw)
        rows = np.concatenate([operands, np.full((count, 1, width), UNKNOWN)], axis=1)
        offset = draws.below(self._width("hard") - width + 1, 1)
        row, column = np.divmod(np.arange(3 * width), width)
        target = np.concatenate([operands, result[:, None]], axis=1)
        return {
            "given": rows.reshape(count, -1),
            "target": target.reshape(count, -1),
            "known": np.broadcast_to(row < 2, (count, 3 * width)).copy(),
            "places": np.stack([np.broadcast_to(row, (count, 3 * width)), offset + column], -1),
            "difficulty": carried.astype(np.float32),
        }

    def _operand(self, split: str, draws: Draws, width: int) -> Array:
        digits = draws.below(10, width)
        most = self.hard_digits if split == "hard" else self.digits
        length = most if split == "hard" else 1 + draws.below(most, 1)
        if split == "hard":
            digits[:, most - 1] = 1 + digits[:, most - 1] % 9
        return np.where(np.arange(width) < length, digits, 0)

    def lines(self, samples: Samples) -> list[str]:
        """``12+345=357``."""
        rows = samples["target"].reshape(len(samples["target"]), 3, -1)
        texts = [
            "".join(map(str, row[::-1])).lstrip("0") or "0"
            for row in rows.reshape(-1, rows.shape[2])
        ]
        triples = zip(texts[::3], texts[1::3], texts[2::3], strict=True)
        return [f"{a}{self.sign}{b}={result}" for a, b, result in triples]

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """The last row is the result of the operands."""
        rows = given.reshape(len(given), 3, -1)
        result, _ = carry(self.result(rows[:, 0], rows[:, 1]))
        return (answer.reshape(rows.shape)[:, 2] == result).all(1)


@register("problem", "addition")
class DigitAddition(ArithmeticProblems):
    """Add two numbers digit by digit. ``difficulty``: columns that carry."""

    columns = (2, 1)
    sign = "+"

    @dataclass(frozen=True, kw_only=True)
    class Config(ArithmeticProblems.Config):
        pass

    def result(self, a: Array, b: Array) -> Array:
        """``a + b`` in each column."""
        return a + b


@register("problem", "multiplication")
class DigitMultiplication(ArithmeticProblems):
    """Multiply two numbers digit by digit. ``difficulty``: columns that carry."""

    columns = (2, 2)
    sign = "*"

    @dataclass(frozen=True, kw_only=True)
    class Config(ArithmeticProblems.Config):
        digits: int = 3
        hard_digits: int = 5

    def result(self, a: Array, b: Array) -> Array:
        """The products of digits whose places add up to each column's."""
        width = a.shape[1]
        total = np.zeros_like(a)
        for shift in range(width):
            total[:, shift:] += a[:, shift : shift + 1] * b[:, : width - shift]
        return total


def carry(columns: Array) -> tuple[Array, Array]:
    """Digits of column sums, and how many columns carried."""
    digits, carried = np.zeros_like(columns), np.zeros(len(columns), dtype=np.int64)
    over = np.zeros(len(columns), dtype=np.int64)
    for place in range(columns.shape[1]):
        over, digits[:, place] = np.divmod(columns[:, place] + over, 10)
        carried += over > 0
    return digits, carried
