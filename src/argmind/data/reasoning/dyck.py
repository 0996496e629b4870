"""Dyck words: close what is open, in the right order."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.reasoning.base import Array, Problems, Samples
from argmind.data.reasoning.draws import Draws
from argmind.registry import register

#: Symbols as text: an opening one, what closes it, and so on.
BRACKETS = "()[]{}<>"
LETTERS = "".join(f"{upper}{upper.lower()}" for upper in string.ascii_uppercase)


@register("problem", "dyck")
class Dyck(Problems):
    """Complete a word of brackets by closing all that are open; symbol 2 k opens, 2 k + 1 closes.

    Hard words are deeper, harder ones longer too. ``difficulty``: brackets to close. Places are
    counted from a random one on, so that all are learnt on short words.
    """

    splits = ("easy", "hard", "harder")

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        kinds: int = 3
        #: Most brackets open at once, and symbols of a word, in training.
        depth: int = 4
        length: int = 24
        #: In the hard split, and (the length) in the harder one.
        hard_depth: int = 8
        hard_length: int = 40

        def __post_init__(self) -> None:
            if not 1 <= self.kinds <= 26:
                raise ValueError(f"kinds must lie between 1 and 26, got {self.kinds}")
            if self.length % 2 or self.hard_length % 2:
                raise ValueError(
                    f"words have an even length, got {self.length} and {self.hard_length}"
                )
            if not 1 <= self.depth < self.hard_depth <= self.length // 2:
                raise ValueError(
                    f"depth must be less than hard_depth, and that at most half the length, got "
                    f"{self.depth}, {self.hard_depth}, {self.length}"
                )
            if not self.length < self.hard_length:
                raise ValueError(f"hard_length must be more than length ({self.length})")

    def __init__(self, config: Config, cache_dir: Path | None = None) -> None:
        super().__init__(config, cache_dir)
        self.kinds, self.places = config.kinds, config.hard_length
        easy, deep = (1, config.depth), (config.depth + 1, config.hard_depth)
        #: Length, fewest and most brackets to close.
        self.shapes = {
            "train": (config.length, *easy),
            "easy": (config.length, *easy),
            "hard": (config.length, *deep),
            "harder": (config.hard_length, *deep),
        }

    @property
    def inputs(self) -> dict[str, Any]:
        """Brackets, and unknown; one place."""
        symbols = 2 * self.kinds
        return {
            "tokens": self.shapes["train"][0],
            "places": (self.places,),
            "symbols": symbols,
            "given_symbols": symbols + 1,
        }

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:  # noqa: ARG002
        """A walk that ends by opening its last bracket, all of which are then to be closed."""
        length, fewest, most = self.shapes[split]
        closing = fewest + draws.below(most - fewest + 1, 1)[:, 0]
        opens = _walk(length, most, closing, draws.uniform(length))
        word = _brackets(opens, draws.below(self.kinds, length))
        place = np.arange(length)
        known = place < length - closing[:, None]
        offset = draws.below(self.places - length + 1, 1)
        return {
            "given": np.where(known, word, 2 * self.kinds),
            "target": word,
            "known": known,
            "places": (offset + place)[..., None],
            "difficulty": closing.astype(np.float32),
        }

    def lines(self, samples: Samples) -> list[str]:
        """``([])``; brackets of more than four kinds are letters, upper case opening."""
        signs = BRACKETS if self.kinds <= 4 else LETTERS
        return ["".join(signs[symbol] for symbol in word) for word in samples["target"]]

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """The whole word is balanced."""
        word = np.where(given < 2 * self.kinds, given, answer)
        stack = np.full((len(word), word.shape[1] + 1), -1)
        depth, legal = np.zeros(len(word), dtype=np.int64), np.ones(len(word), dtype=bool)
        each = np.arange(len(word))
        for symbol in word.T:
            opens = symbol % 2 == 0
            legal &= opens | ((depth > 0) & (stack[each, depth - 1] == symbol // 2))
            stack[each[opens], depth[opens]] = symbol[opens] // 2
            depth = np.maximum(depth + np.where(opens, 1, -1), 0)
        return legal & (depth == 0)


def _walk(length: int, depth: int, closing: Array, dice: Array) -> NDArray[np.bool_]:
    """Where words open (n, length): at most ``depth`` open, the last ``closing`` symbols close."""
    height = np.zeros(len(closing), dtype=np.int64)
    opens = np.zeros((len(closing), length), dtype=bool)
    for place in range(length):
        # Up to the last opening, which lifts the walk from closing − 1 to closing.
        left = length - closing - 1 - place
        free = left > 0
        up = (height < depth) & (np.abs(closing - 1 - (height + 1)) < left)
        down = (height > 0) & (np.abs(closing - 1 - (height - 1)) < left)
        chosen = np.where(up & down, dice[:, place] < 0.5, up)
        opens[:, place] = np.where(free, chosen, left == 0)
        height += np.where(opens[:, place], 1, -1)
    return opens


def _brackets(opens: NDArray[np.bool_], kinds: Array) -> Array:
    """Words (n, length): an opening takes its kind, a closing that of what it closes."""
    count, length = opens.shape
    stack, depth = np.zeros((count, length + 1), dtype=np.int64), np.zeros(count, dtype=np.int64)
    word, each = np.zeros((count, length), dtype=np.int64), np.arange(count)
    for place in range(length):
        up = opens[:, place]
        stack[each[up], depth[up]] = kinds[up, place]
        depth = depth + np.where(up, 1, -1)
        kind = np.where(up, kinds[:, place], stack[each, np.maximum(depth, 0)])
        word[:, place] = 2 * kind + ~up
    return word
