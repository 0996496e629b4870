"""What a kind of reasoning problem is: something given, something asked, a way to check it.

A problem is L tokens (cells, digits, pairs of nodes, rows of a matrix). Each has a place, something
given, and an answer: one of K symbols or W numbers. Arrays carry n problems:

========== =================================== ================================================
given      (n, L) int64 or (n, L, G) float32   symbols 0 … ``given_symbols`` − 1, or numbers; of
                                               a known token its answer
target     (n, L) int64 or (n, L, W) float32   answers 0 … ``symbols`` − 1, or numbers
known      (n, L) bool                         the answer is given here: not asked, not judged
places     (n, L, A) int64                     where a token is, along A axes
difficulty (n,) float32                        more is harder; each kind of problem says in what
========== =================================== ================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig, to_dict
from argmind.data.base import digest_of
from argmind.data.order import mix
from argmind.data.reasoning.draws import Draws
from argmind.registry import Part

Array = NDArray[Any]
Samples = dict[str, Array]

#: One in so many problems is held out: it never appears in training, whatever the draw.
HELD_OUT = 8


class Problems(Part):
    """One kind of problem: seeded generator, exact checker, splits of growing difficulty.

    The first of ``splits`` is in distribution: problems as in training, none of which appears
    there. The others are harder than any training problem.
    """

    splits: tuple[str, ...] = ("easy", "hard")
    #: Could a draw repeat a problem? Then training and the first split are kept apart.
    repeats: ClassVar[bool] = True
    #: Training problems before the order starts over; each time they are drawn anew.
    epoch_samples: int = 1 << 17

    def __init__(self, config: PartConfig, cache_dir: Path | None = None) -> None:  # noqa: ARG002
        self.config = config

    @property
    def inputs(self) -> dict[str, Any]:
        """What a predictor must know: how many ``tokens`` in training; ``places``, the size of each
        axis of them; ``symbols`` or ``numbers`` of an answer; ``given_symbols`` or
        ``given_numbers``.
        """
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """Changes when a generator or its settings do."""
        return digest_of("reasoning 1", to_dict(self.config))

    def available(self, split: str) -> int | None:  # noqa: ARG002
        """Problems of a held-out split; None: as many as wanted."""
        return None

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:
        """Problems of a split, a row for each of ``index``; by ``draws`` alone, unless stored."""
        raise NotImplementedError

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """Which answers (n, L[, W]) solve the problems (n, L[, G]): exact, by the rules."""
        raise NotImplementedError

    def lines(self, samples: Samples) -> list[str] | None:  # noqa: ARG002
        """Problems with their answers as lines of text; None: this kind is not written as text."""
        return None

    def sample(self, split: str, index: NDArray[np.int64], seed: int) -> Samples:
        """The problems of these numbers: a pure function of its arguments."""
        samples = self.draw(split, index, Draws(seed, split, index))
        if not self.repeats or split not in ("train", self.splits[0]):
            return samples
        wanted, attempt = split != "train", 0
        again = np.flatnonzero(held_out(samples["given"]) != wanted)
        while len(again):
            attempt += 1
            fresh = self.draw(split, index[again], Draws(seed, f"{split}/{attempt}", index[again]))
            for name, rows in fresh.items():
                samples[name][again] = rows
            again = again[held_out(fresh["given"]) != wanted]
        return samples


def held_out(given: Array) -> NDArray[np.bool_]:
    """Which problems belong to the held-out ones, by a hash of what is given."""
    flat = np.ascontiguousarray(given.reshape(len(given), -1), dtype=np.float64).view(np.uint64)
    hashed = np.zeros(len(given), dtype=np.uint64)
    for column in flat.T:
        hashed = mix(hashed ^ column)
    return hashed % np.uint64(HELD_OUT) == 0


def everywhere(places: Array, count: int) -> Array:
    """The same places (L, A) for ``count`` problems."""
    return np.broadcast_to(places, (count, *places.shape)).copy()
