"""What a report on denoising is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from argmind.eval.results import Results
from argmind.eval.statistics import Interval, verdict
from argmind.report.data import Curve, Scores
from argmind.report.pictures import PictureTable


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """What one model reached on held-out images of one noise level within one budget."""

    model: str
    steps: int | None  # None for a model that has none
    candidates: int = 1
    psnr: Interval  # dB, over images
    nfe: float  # network evaluations per image, all candidates together
    ms_per_image: float
    #: PSNR minus that of the thinker as trained, same images; None for that row itself.
    difference: Interval | None = None
    diverged: int = 0

    @property
    def budget(self) -> str:
        """In words."""
        if self.steps is None:
            return "one pass"
        words = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        return words if self.candidates == 1 else f"{words} with {self.candidates} candidates"


@dataclass(frozen=True, kw_only=True)
class NoiseLevel:
    """Held-out images with noise of one std, and what models made of them."""

    name: str  # "the trained noise"
    std: float
    given: Interval  # PSNR of the noisy images
    rows: Sequence[ImageRow]

    def of(self, model: str, candidates: int = 1) -> list[ImageRow]:
        """One model's rows."""
        return [r for r in self.rows if (r.model, r.candidates) == (model, candidates)]

    def best(self, model: str) -> ImageRow:
        """A model's row of most PSNR with one candidate; the cheapest of equals."""
        return max(self.of(model), key=lambda row: (row.psnr.value, -row.nfe))

    def at(self, model: str, steps: int, candidates: int = 1) -> ImageRow:
        """A model's row with this budget."""
        return next(row for row in self.of(model, candidates) if row.steps == steps)


@dataclass(frozen=True, kw_only=True)
class ImageReport:
    """Everything a report on denoising shows."""

    title: str
    results: Results
    data: str  # what was trained and measured on, in a sentence
    thinker: str
    rivals: Sequence[str]
    trained_steps: int
    parameters: Mapping[str, int]  # by model
    phases_s: Mapping[str, float]
    levels: Sequence[NoiseLevel]  # the trained one first
    #: At each level, PSNR after four times the trained steps minus after the trained ones.
    longer: Sequence[Interval]
    #: At each level, PSNR after the trained steps minus before any.
    thinking: Sequence[Interval]
    curves: Mapping[str, Sequence[Curve]] = field(default_factory=dict)  # by what the loss is
    scores: Sequence[Scores] = ()
    pictures: Sequence[PictureTable] = ()
    notes: Sequence[str] = ()


def gain_verdict(gain: Interval) -> str:
    """Better, worse or undecided, where more is better."""
    low = None if gain.high is None else -gain.high
    high = None if gain.low is None else -gain.low
    return verdict(Interval(-gain.value, low, high), 0.0)
