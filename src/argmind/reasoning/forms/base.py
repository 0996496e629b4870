"""What a written form is: a line read as a problem, an answer written as a line."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from argmind.data.reasoning.base import Array, Problems, Samples

P = TypeVar("P", bound=Problems)


class Unreadable(ValueError):
    """A line that is no problem of this kind; says what is wrong and what to write."""


class Form(Generic[P]):
    """The written form of one kind of problem."""

    #: A line of this form, for help texts.
    example: ClassVar[str]
    #: What a wrong answer breaks.
    rule: ClassVar[str]

    def __init__(self, problems: P) -> None:
        self.problems = problems

    def read(self, line: str) -> Samples:
        """One problem, as ``given``, ``known`` and ``places`` with a first axis of 1.

        Raises:
            Unreadable: see there.
        """
        raise NotImplementedError

    def write(self, given: Array, answer: Array) -> str:
        """One problem (L[, G]) with its answer (L[, W])."""
        raise NotImplementedError


def asked(given: Array, known: Array, places: Array) -> Samples:
    """One problem, of arrays without a first axis."""
    return {
        "given": np.ascontiguousarray(given)[None],
        "known": np.ascontiguousarray(known, dtype=bool)[None],
        "places": np.ascontiguousarray(places, dtype=np.int64)[None],
    }


def number(word: str, what: str) -> float:
    """A finite number.

    Raises:
        Unreadable: it is none.
    """
    try:
        value = float(word)
    except ValueError as error:
        raise Unreadable(f"'{word}' is no number: {what}.") from error
    if not np.isfinite(value):
        raise Unreadable(f"'{word}' is not finite: {what}.")
    return value


def whole(word: str, what: str) -> int:
    """A whole number from 0.

    Raises:
        Unreadable: it is none.
    """
    text = word.strip()
    if not (text.isascii() and text.isdigit()):
        raise Unreadable(f"'{text}' is no whole number: {what}.")
    return int(text)


def require(holds: Any, otherwise: str) -> None:
    """Raise :class:`Unreadable` unless it holds."""
    if not holds:
        raise Unreadable(otherwise)
