"""What a report on robot policies is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.eval.results import Results
from argmind.eval.statistics import Interval, share
from argmind.report.pictures import PictureTable

#: The ways round, as tasks with several ways call them.
ROUTES = ("left", "right")


@dataclass(frozen=True, kw_only=True)
class PolicyRow:
    """How one policy, asked in one way, did in the episodes that all had."""

    model: str
    way: str  # "2 steps", "DDIM, 10 steps", "one pass"
    nfe: float  # network evaluations per plan
    success: Interval  # share of episodes
    succeeded: NDArray[np.bool_]  # episode by episode
    routes: Sequence[str]  # episode by episode: "left", "right", or "" for neither (yet)
    ms_per_action: float  # alone, of the actions that are executed
    #: Success minus that of the reference, same episodes; None for the reference itself.
    difference: Interval | None = None

    def count(self, route: str) -> int:
        """Successful episodes that went this way."""
        return self.ways.count(route)

    @property
    def left(self) -> Interval | None:
        """Of the successful episodes the share that went left; None without success."""
        return share([way == ROUTES[0] for way in self.ways]) if self.ways else None

    @property
    def ways(self) -> list[str]:
        """Ways taken by the successful episodes."""
        return [way for way, good in zip(self.routes, self.succeeded, strict=True) if good]


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where a policy went, a path (T, 2) and a goal (2,) for every episode, the bar at (0, 0)."""

    model: str
    paths: Sequence[NDArray[Any]]
    goals: Sequence[NDArray[Any]]
    succeeded: Sequence[bool]


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The plane that paths run through: its ends, half the sides of the bar, the goal's radius."""

    low: tuple[float, float]
    high: tuple[float, float]
    bar: tuple[float, float]
    goal_radius: float


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One episode: pictures of it, and the energy of each plan before and after thinking."""

    model: str
    how: str  # which episode, and how it ended
    pictures: Sequence[NDArray[np.uint8]]  # (H, W, 3)
    pictured: Sequence[int]  # environment steps of the pictures
    planned: Sequence[int]  # environment steps of the plans
    before: Sequence[float]
    after: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training one policy took."""

    model: str
    parameters: int
    seconds: float
    steps: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class PolicyReport:
    """Everything a report on policies shows."""

    title: str
    results: Results
    data: str  # what was trained and measured on, in a sentence
    episodes: int
    thinker: str
    generator: str  # the rival that draws
    average: str  # the rival that regresses
    demonstrated_left: float  # share of demonstrations
    training: Sequence[Trained]
    phases_s: Mapping[str, float]
    rows: Sequence[PolicyRow]
    #: The thinker's way and its rival's that are compared, by their words.
    compared: tuple[str, str]
    #: How often energy is higher in a failed episode than in a successful one, by its first plans.
    failure_auroc: Interval
    gauged_plans: int
    strips: Sequence[Strip] = ()
    moving: Sequence[PictureTable] = ()
    paths: Sequence[Paths] = ()
    plane: Plane | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    def of(self, model: str) -> list[PolicyRow]:
        """One model's rows, by evaluations."""
        return sorted((row for row in self.rows if row.model == model), key=lambda row: row.nfe)

    def at(self, model: str, way: str) -> PolicyRow:
        """The row of this way."""
        return next(row for row in self.rows if (row.model, row.way) == (model, way))

    @property
    def mine(self) -> PolicyRow:
        """The thinker's row that is compared."""
        return self.at(self.thinker, self.compared[0])

    @property
    def theirs(self) -> PolicyRow:
        """The row it is compared with."""
        return self.at(self.generator, self.compared[1])

    @property
    def plain(self) -> PolicyRow:
        """The regressing rival's row."""
        return self.of(self.average)[0]
