"""A passage of text, each token coloured by how much of something it has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from argmind.report.data import PassageToken
from argmind.report.markup import escape, number, token_label

Quantity = Literal["energy", "loss", "steps"]

UNITS: dict[Quantity, str] = {"energy": "energy", "loss": "loss in nats", "steps": "thinking steps"}
DIGITS: dict[Quantity, int] = {"energy": 2, "loss": 2, "steps": 0}

# Pale to saturated, all light enough for the dark text on them; one hue family a quantity.
RAMPS: dict[Quantity, tuple[str, str, str]] = {
    "energy": ("#fff9ec", "#fdcf8a", "#f0914e"),
    "loss": ("#faf5fc", "#e0bfe6", "#c78fd0"),
    "steps": ("#f2f8fd", "#b3d5ee", "#6cb0dd"),
}
INK = "#14161a"
UNKNOWN = "#d5d7db"


def shade(position: float, ramp: tuple[str, str, str]) -> str:
    """The colour ``#rrggbb`` at ``position`` in [0, 1] of a three-colour ramp."""
    place = min(max(position, 0.0), 1.0) * 2
    left = min(int(place), 1)
    part = place - left
    ends = (_channels(ramp[left]), _channels(ramp[left + 1]))
    mixed = (round(a + (b - a) * part) for a, b in zip(*ends, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def limits(values: Sequence[float]) -> tuple[float, float]:
    """The range that colours span: the 2nd to the 98th percentile of what is finite.

    One extreme token would otherwise make all others look alike.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return (0.0, 0.0)
    low, high = np.percentile(finite, [2, 98])
    return (float(low), float(high))


def passage_html(tokens: Sequence[PassageToken], quantity: Quantity) -> str:
    """The passage as an HTML fragment: legend, then the text; a note on each token on hover or tap.

    Raises:
        ValueError: no tokens.
    """
    if not tokens:
        raise ValueError("a passage needs at least one token")
    values = [float(getattr(token, quantity)) for token in tokens]
    low, high = limits(values)
    spans = "".join(
        _token_html(token, _colour(value, low, high, quantity))
        for token, value in zip(tokens, values, strict=True)
    )
    unknown = not all(math.isfinite(value) for value in values)
    return f'{_legend(low, high, quantity, unknown)}<div class="passage">{spans}</div>'


def _colour(value: float, low: float, high: float, quantity: Quantity) -> str:
    if not math.isfinite(value):
        return UNKNOWN
    return shade((value - low) / (high - low) if high > low else 0.0, RAMPS[quantity])


def _token_html(token: PassageToken, colour: str) -> str:
    return (
        f'<span class="token" tabindex="0" style="background:{colour};color:{INK}">'
        f'{escape(token.text, breaks=True)}<span class="tip" role="tooltip">{_tip(token)}</span>'
        "</span>"
    )


def _tip(token: PassageToken) -> str:
    facts = (
        f"energy {number(token.energy)} · loss {number(token.loss)} nats · "
        f"steps {number(token.steps, 0)}"
    )
    top = "".join(
        f"<span><code>{token_label(word)}</code> {number(100 * chance, 1)} %</span>"
        for word, chance in token.top
    )
    likeliest = f'<span class="top">{top}</span>' if top else ""
    return (
        f"<strong><code>{token_label(token.text)}</code></strong> <span>{facts}</span>{likeliest}"
    )


def _legend(low: float, high: float, quantity: Quantity, unknown: bool) -> str:
    digits = DIGITS[quantity]
    swatches = "".join(
        f'<i style="background:{shade(i / 8, RAMPS[quantity])}"></i>' for i in range(9)
    )
    missing = f'<i style="background:{UNKNOWN}"></i> not finite' if unknown else ""
    return (
        f'<div class="legend"><span>{escape(UNITS[quantity])}</span> '
        f"<span>≤ {number(low, digits)}</span> "
        f'<span class="ramp" aria-hidden="true">{swatches}</span> '
        f"<span>≥ {number(high, digits)}</span> <span>{missing}</span></div>"
    )


def _channels(colour: str) -> tuple[int, int, int]:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))
