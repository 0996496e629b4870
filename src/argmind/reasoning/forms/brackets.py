"""Dyck words: ``([{}``, to be closed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from argmind.data.reasoning.base import Array, Samples
from argmind.data.reasoning.dyck import BRACKETS, LETTERS, Dyck
from argmind.reasoning.forms.base import Form, asked, require


class DyckForm(Form[Dyck]):
    """The beginning of a word; every bracket that it leaves open is to be closed."""

    example: ClassVar[str] = "([]{"
    rule: ClassVar[str] = "the brackets do not close one another"

    @property
    def signs(self) -> str:
        """Opening and closing, kind after kind."""
        signs = BRACKETS if self.problems.kinds <= 4 else LETTERS
        return signs[: 2 * self.problems.kinds]

    def read(self, line: str) -> Samples:
        """The word, and as many unknown symbols as brackets are open."""
        signs, word, open_ = self.signs, list[int](), list[int]()
        for place, sign in enumerate(line, start=1):
            require(sign in signs, f"'{sign}' (symbol {place}) is none of {signs}.")
            symbol = signs.index(sign)
            if symbol % 2 == 0:
                open_.append(symbol)
            else:
                fits = bool(open_) and open_[-1] == symbol - 1
                require(fits, f"'{sign}' (symbol {place}) closes nothing that is open.")
                open_.pop()
            word.append(symbol)
        require(open_, "nothing is left open.")
        length, most = len(word) + len(open_), self.problems.places
        require(length <= most, f"closed it has {length} symbols: this run takes up to {most}.")
        given = np.array(word + [2 * self.problems.kinds] * len(open_))
        places = np.arange(length)
        return asked(given, places < len(word), places[:, None])

    def write(self, given: Array, answer: Array) -> str:
        """The whole word."""
        word = np.where(given < 2 * self.problems.kinds, given, answer)
        return "".join(self.signs[symbol] for symbol in word)
