"""What a report on video is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    """The thinker's energies and losses (clips, frames), and the frame after which chance decides.

    Column t is the prediction of frame t + 1.
    """

    energies: NDArray[Any]
    losses: NDArray[Any]  # smooth L1 per pixel, which energies are taught to foretell
    turn: int
    #: Chance that the energy of a prediction across the turn is above that of another one.
    auroc: Interval
    at_turn: Interval  # mean energy
    elsewhere: Interval  # mean energy, the first frame and the turn left out


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
