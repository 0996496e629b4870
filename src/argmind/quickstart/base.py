"""What a domain supplies to its quickstart, and what the quickstart hands to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from rich.console import RenderableType

from argmind.eval.results import Figure, Results
from argmind.quickstart.pace import Clock
from argmind.quickstart.screen import Screen
from argmind.recipes.base import Recipe
from argmind.train.trainer import TrainOutcome


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A model as a quickstart knows it before training."""

    label: str  # in words
    key: str  # in the names of figures
    #: Folder of its run, inside the thinker's, which has none of its own.
    folder: str = ""
    #: The setting of a rival's recipe that is widened until the parameters are equal.
    width: str = ""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model, trained."""

    label: str
    recipe: Recipe
    folder: Path
    parameters: int
    outcome: TrainOutcome
    training_s: float  # evaluations and saving left out
    training_flops: float

    @property
    def cut_short(self) -> bool:
        """Did the clock end its training before the last step?"""
        return self.outcome.reason == "deadline"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """All models, trained on the same batches in the same order, as far as each of them got."""

    data: Any
    thinker: Contender
    rivals: tuple[Contender, ...]
    seed: int

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """The thinker, then its rivals."""
        return (self.thinker, *self.rivals)

    @property
    def samples(self) -> int:
        """Training samples that the thinker saw, repeats counted; where data is equal, all."""
        return self.thinker.outcome.steps * self.thinker.recipe.training.batch_size


@dataclass(frozen=True, kw_only=True)
class Study:
    """What was found out about the models.

    Once the results are complete, ``shown`` gives what is printed and ``page`` the HTML report.
    """

    figures: Mapping[str, Figure]
    extra: Mapping[str, Any] = field(default_factory=dict)
    shown: Callable[[Results], Sequence[RenderableType]]
    page: Callable[[Results], str]
    next_commands: Sequence[str]


class Domain(ABC):
    """One modality's quickstart."""

    name: ClassVar[str]
    #: The thinker first, then its rivals.
    entrants: ClassVar[tuple[Entrant, ...]]
    #: What one prediction is called, in the plural.
    unit: ClassVar[str] = "predictions"
    #: Passes over the data after which models this small have learned what they can.
    most_epochs: ClassVar[int] = 12

    #: What all models get as much of: the same samples, or training time.
    equal: ClassVar[Literal["data", "time"]] = "data"

    #: Can ``argmind eval`` measure a run of it?
    evaluated: ClassVar[bool] = True

    def require(self) -> None:  # noqa: B027
        """Refuse what would fail later.

        Raises:
            UserError: a package is missing; says how to install it.
        """

    @abstractmethod
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipe of every entrant in the sizes of a quickstart.

        Batch size, order of samples and seed are those of the first for all.
        """

    @abstractmethod
    def describe(self, data: Any) -> str:
        """What the models learn from, in a sentence."""

    @abstractmethod
    def study(self, trained: Trained, clock: Clock, screen: Screen) -> Study:
        """Let the models loose on held-out data for as long as ``clock.study_s`` allows."""
