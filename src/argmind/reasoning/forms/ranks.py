"""Numbers to be sorted: ``0.3 0.1 0.7``."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from argmind.data.reasoning.base import Array, Samples
from argmind.data.reasoning.sorting import Sorting
from argmind.reasoning.forms.base import Form, asked, number, require


class SortingForm(Form[Sorting]):
    """As many numbers of [0, 1] as in training, with blanks between; the answer is in order."""

    example: ClassVar[str] = "0.3 0.1 0.7"
    rule: ClassVar[str] = "the numbers are not in order"

    def read(self, line: str) -> Samples:
        """The numbers, each with where it stands."""
        words, length = line.replace(",", " ").split(), self.problems.length
        require(len(words) == length, f"{len(words)} numbers: this run sorts {length}.")
        values = np.array([number(word, f"write {self.example}") for word in words], np.float32)
        inside = (values >= 0).all() and (values <= 1).all()
        require(inside, "numbers must lie between 0 and 1.")
        require(len(set(values.tolist())) == length, "two of the numbers are equal.")
        return asked(values[:, None], np.zeros(length), np.arange(length)[:, None])

    def write(self, given: Array, answer: Array) -> str:
        """The numbers in order, or where their ranks are no order, the ranks."""
        if len(set(answer.tolist())) < len(answer):
            return "ranks " + " ".join(str(rank) for rank in answer.tolist())
        return " ".join(f"{value:.6g}" for value in given[np.argsort(answer), 0])
