"""What a report on video is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.eval.results import Results
from argmind.eval.statistics import Interval
from argmind.report.data import Curve, Scores
from argmind.report.pictures import PictureTable


@dataclass(frozen=True, kw_only=True)
class VideoRow:
    """How well one model tells next frames within one budget, every frame before them given."""

    model: str
    steps: int | None  # None for a model that has none
    error: Interval  # mean squared, per pixel
    nfe: float | None  # network evaluations per frame; None where there is no network
    ms_per_frame: float | None
    difference: Interval | None = None  # error minus the rival's, same clips
    diverged: int = 0


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """The thinker's energies and losses (clips, frames), and where chance decides, once a clip.

    Column t is the prediction of frame t + 1.
    """

    energies: NDArray[Any]
    losses: NDArray[Any]  # smooth L1 per pixel, which energies are taught to foretell
    random: NDArray[np.bool_]
    #: Chance that the energy of a prediction across the turn is above that of another one.
    auroc: Interval
    #: The same among predictions of frames that are as far into their clips.
    auroc_same_frame: Interval
    at_turn: Interval  # mean energy
    elsewhere: Interval  # mean energy, the first frame and the turn left out

    def from_turn(self, values: NDArray[Any], before: int, after: int) -> NDArray[Any]:
        """Values (clips, before + 1 + after) counted from each clip's turn; NaN beyond its ends.

        The first frame tells no speed, and is left out.
        """
        clips, turns = self.random.nonzero()
        frames = turns[:, None] + np.arange(-before, after + 1)
        inside = (frames > 0) & (frames < values.shape[1])
        return np.where(inside, values[clips[:, None], np.where(inside, frames, 0)], np.nan)


@dataclass(frozen=True, kw_only=True)
class VideoReport:
    """Everything a report on video shows."""

    title: str
    results: Results
    data: str  # what was trained and measured on, in a sentence
    thinker: str
    rival: str
    trained_steps: int
    parameters: Mapping[str, int]  # by model
    phases_s: Mapping[str, float]
    still: VideoRow  # nothing changes
    plain: VideoRow  # the rival
    rows: Sequence[VideoRow]  # the thinker's, by steps
    given: int  # frames that a roll-out begins with
    #: Mean squared error by horizon, from 1 on.
    horizons: Mapping[str, Sequence[Interval]]
    doubt: Doubt
    curves: Sequence[Curve] = ()
    scores: Sequence[Scores] = ()
    moving: Sequence[PictureTable] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def trained(self) -> VideoRow:
        """The thinker at its trained steps."""
        return next(row for row in self.rows if row.steps == self.trained_steps)
