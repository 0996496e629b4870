"""What a report is made of: plain numbers with their units, filled by whoever measured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from argmind.eval.results import Results
from argmind.eval.statistics import Interval, verdict


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The loss of one model along its training; the three sequences have equal lengths."""

    model: str
    split: Literal["training", "held-out"]
    seen: Sequence[float]  # trained on so far: tokens, images, frames
    seconds: Sequence[float]  # of training so far, evaluations left out
    losses: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.seen) == len(self.seconds) == len(self.losses):
            raise ValueError(f"curve of {self.model}: seen, seconds and losses differ in length")


@dataclass(frozen=True, kw_only=True)
class BudgetRow:
    """What one model reached on held-out text with one thinking budget."""

    model: str
    steps: int = 0  # thinking steps; 0 for a model that does not think
    candidates: int = 1
    nats: Interval  # per token, over sequences
    bits_per_byte: Interval
    nfe: float  # energy-gradient evaluations per prediction, mean
    ms_per_token: float
    energy: Interval | None = None  # mean final energy of a prediction (no unit)
    difference: Interval | None = None  # nats per token minus the rival's, same sequences
    diverged: int = 0  # predictions whose thinking was not finite

    def verdict(self, rival: BudgetRow) -> str:
        """Better, worse or undecided: by the paired difference, or else by this row's interval."""
        if self.difference is not None:
            return verdict(self.difference, 0.0)
        return verdict(self.nats, rival.nats.value)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A model's own sign of doubt beside the loss it really had, one entry per prediction."""

    model: str
    signal: str  # what it is: "energy", "entropy"
    unit: str  # of the signal; "1" for an energy
    values: NDArray[np.floating]
    losses: NDArray[np.floating]
    loss_unit: str = "nats"
    items: str = "tokens"  # what is predicted, in the plural

    def __post_init__(self) -> None:
        if np.shape(self.values) != np.shape(self.losses):
            raise ValueError(f"scores of {self.model}: values and losses differ in shape")

    def finite(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """The signal and the loss, flat, of the predictions where both are finite."""
        values, losses = np.ravel(self.values), np.ravel(self.losses)
        usable = np.isfinite(values) & np.isfinite(losses)
        return values[usable], losses[usable]


@dataclass(frozen=True, kw_only=True)
class PassageToken:
    """One token of real text and what the model thought of that place before seeing it."""

    text: str
    energy: float
    loss: float  # nats
    steps: float  # thinking steps used
    top: Sequence[tuple[str, float]] = ()  # likeliest tokens and their probabilities


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A continuation that a model wrote."""

    model: str
    prompt: str
    continuation: str
    settings: str  # how it was drawn: "temperature 0.8, top-p 0.95, 2 steps"


@dataclass(frozen=True, kw_only=True)
class TextReport:
    """Everything a text report shows."""

    title: str
    results: Results
    data: str  # what was trained and measured on, in a sentence
    parameters: Mapping[str, int]  # by model
    phases_s: Mapping[str, float]  # wall-clock seconds by phase: "train EBT", "evaluate"
    trained_steps: int  # thinking steps the EBT was trained with
    rival: BudgetRow
    budgets: Sequence[BudgetRow]
    curves: Sequence[Curve] = ()
    scores: Sequence[Scores] = ()
    passage: Sequence[PassageToken] = ()
    samples: Sequence[Sample] = ()
    notes: Sequence[str] = field(default_factory=tuple)  # further limits, a sentence each
