"""What a report on reasoning is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from argmind.eval.results import Results
from argmind.eval.statistics import Interval, verdict
from argmind.report.data import Curve
from argmind.report.grids import Way


@dataclass(frozen=True, kw_only=True)
class SolvedRow:
    """The share of one split's problems that a model solved within one budget."""

    split: str
    model: str
    steps: int | None  # None for a model that has none
    candidates: int = 1
    solved: Interval
    nfe: float  # network evaluations per problem, all candidates together
    ms_per_problem: float
    #: Share solved minus that of the thinker as trained, same problems; None for that row itself.
    difference: Interval | None = None

    @property
    def budget(self) -> str:
        """In words."""
        if self.steps is None:
            return "one pass"
        words = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        return words if self.candidates == 1 else f"{words} with {self.candidates} candidates"


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Thinking that stops once the energy has settled, over all splits together."""

    most_steps: int
    solved: Interval
    minus_longest: Interval  # share solved minus that of all the steps
    mean_nfe: float
    nfe_ratio: float  # of that of all the steps
    steps_by_rounds: Sequence[tuple[int, Interval]]  # mean steps used by rounds of a solver
    rank: Interval  # rank correlation of steps used and rounds of a solver


@dataclass(frozen=True, kw_only=True)
class ReasoningReport:
    """Everything a report on reasoning shows."""

    title: str
    results: Results
    data: str
    thinker: str
    rivals: Sequence[str]
    trained_steps: int
    splits: Sequence[str]  # from easy to hard
    parameters: Mapping[str, int]  # by model
    training_s: Mapping[str, float]
    training_steps: Mapping[str, int]
    phases_s: Mapping[str, float]
    rows: Sequence[SolvedRow]
    #: Share solved in four times the trained steps minus in the trained ones; by split and model.
    longer: Mapping[tuple[str, str], Interval]
    #: How well the sign of doubt tells right answers from wrong ones, all splits, as trained.
    auroc: Mapping[str, Interval]
    stopping: Stopping
    ways: Sequence[Way] = ()
    curves: Sequence[Curve] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    def of(self, split: str, model: str, candidates: int = 1) -> list[SolvedRow]:
        """One model's rows on a split, by steps."""
        wanted = (split, model, candidates)
        return [row for row in self.rows if (row.split, row.model, row.candidates) == wanted]

    def at(self, split: str, model: str, steps: int, candidates: int = 1) -> SolvedRow:
        """The row of this budget."""
        return next(row for row in self.of(split, model, candidates) if row.steps == steps)

    def best(self, split: str, model: str) -> SolvedRow:
        """A model's row of most solved with one candidate; the cheapest of equals."""
        return max(self.of(split, model), key=lambda row: (row.solved.value, -row.nfe))


def gain_verdict(gain: Interval) -> str:
    """Better, worse or undecided, where more is better."""
    low = None if gain.high is None else -gain.high
    high = None if gain.low is None else -gain.low
    return verdict(Interval(-gain.value, low, high), 0.0)
