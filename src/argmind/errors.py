"""Errors that are the user's to mend, and the hint that helps to mend them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, where and what to do.

    The command line prints the message alone and exits with code 2.
    """


class CorruptCheckpoint(UserError):
    """A checkpoint whose bytes are not those that were committed."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """``" Did you mean 'steps'?"`` for a misspelt word, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""


def unknown(what: str, word: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not one of ``known``."""
    known = sorted(known)
    listed = ", ".join(known) if known else "none"
    return UserError(f"unknown {what} '{word}'.{suggestion(word, known)} Known: {listed}.")
