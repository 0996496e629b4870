"""Text made safe and visible in HTML."""

from __future__ import annotations

import html
import math
import unicodedata

from argmind.eval.statistics import Interval


def visible(text: str, breaks: bool = False) -> str:
    """Text with every invisible character shown: control pictures, ``⏎``, ``⇥``, ``U+202E``.

    With ``breaks`` a newline keeps breaking the line after its mark. The result has no character
    that HTML or UTF-8 forbids.
    """
    return "".join(_visible_character(character, breaks) for character in text)


def _visible_character(character: str, breaks: bool) -> str:
    code, category = ord(character), unicodedata.category(character)
    if character == "\n":
        return "⏎\n" if breaks else "⏎"
    if character == "\t":
        return "⇥"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if category == "Cs" or code & 0xFFFE == 0xFFFE:
        return "\ufffd"
    # Direction marks and the like would reorder or hide the text around them; joiners shape it.
    if category in ("Cc", "Cf", "Zl", "Zp") and character not in "\u200c\u200d":
        return f"⟨U+{code:04X}⟩"
    return character


def escape(text: str, breaks: bool = False) -> str:
    """:func:`visible` text, escaped for element content and quoted attributes."""
    return html.escape(visible(text, breaks), quote=True)


def token_label(text: str) -> str:
    """A token on its own: escaped, its spaces shown as ``␣``."""
    return escape(text).replace(" ", "␣") or "(empty)"


def number(value: float | None, digits: int = 3) -> str:
    """A number as a reader wants it; a dash for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "−")


def span(interval: Interval, digits: int = 3) -> str:
    """The range of an interval, ``3.101 … 3.172``; empty when there is none."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{number(interval.low, digits)} … {number(interval.high, digits)}"


def duration(seconds: float) -> str:
    """Seconds in the largest fitting units: ``3.2 s``, ``4 min 10 s``, ``2 h 5 min``."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
