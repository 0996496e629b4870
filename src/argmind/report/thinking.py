"""How each token was thought out: at every step the likeliest tokens and the energy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from argmind.report.markup import number, token_label
from argmind.report.page import Fragment, Page


def thinking_html(tokens: Sequence[Mapping[str, Any]]) -> str:
    """An HTML fragment with a small table for every token.

    Each token is ``{"token": str, "steps": [{"energy": float, "top": [[str, probability], ...]},
    ...]}``; step 0 is the start, before any thinking.
    """
    return '<div class="thoughts">' + "".join(_thought(token) for token in tokens) + "</div>"


def thinking_page(
    tokens: Sequence[Mapping[str, Any]], facts: Sequence[tuple[str, str]] = ()
) -> str:
    """The whole page of ``argmind think --html``."""
    caption = (
        "Every box is one token of the text. Each row is one thinking step: its energy (a cost: "
        "lower fits better; the bar spans this token's own range) and the likeliest tokens with "
        "their probabilities in per cent. Step 0 is the start, before any thinking. A framed "
        "token is the one that really stands in the text."
    )
    return Page(
        title="How argmind thought",
        lead="Token by token, step by step: what the candidate held, and what it cost.",
        facts=facts,
        sections=(Fragment(html=thinking_html(tokens), caption=caption),),
    ).render()


def _thought(token: Mapping[str, Any]) -> str:
    text, steps = str(token["token"]), list(token["steps"])
    energies = [float(step["energy"]) for step in steps]
    finite = [energy for energy in energies if math.isfinite(energy)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    rows = "".join(
        f'<tr><th scope="row">{index}</th>{_energy(energy, low, high)}'
        f"<td>{_top(step['top'], text)}</td></tr>"
        for index, (energy, step) in enumerate(zip(energies, steps, strict=True))
    )
    return (
        f'<section class="thought"><h2><code>{token_label(text)}</code></h2><table><thead><tr>'
        '<th scope="col">step</th><th scope="col">energy</th><th scope="col">likeliest</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _energy(energy: float, low: float, high: float) -> str:
    if not math.isfinite(energy):
        return '<td class="figure">diverged</td>'
    share = (energy - low) / (high - low) if high > low else 0.0
    bar = f'<span class="bar"><i style="width:{100 * share:.0f}%"></i></span>'
    return f'<td class="figure">{number(energy)}{bar}</td>'


def _top(top: Sequence[Sequence[Any]], truth: str) -> str:
    return "".join(_chip(str(word), float(chance), str(word) == truth) for word, chance in top)


def _chip(word: str, chance: float, true: bool) -> str:
    share = min(max(chance, 0.0), 1.0) if math.isfinite(chance) else 0.0
    kind = "chip true" if true else "chip"
    return (
        f'<span class="{kind}" style="--share:{100 * share:.1f}%"><code>{token_label(word)}</code> '
        f"{number(100 * chance, 0)}</span>"
    )
