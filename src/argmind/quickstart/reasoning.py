"""The quickstart of reasoning: small Sudoku, made here, easier in training than in the test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from argmind.quickstart.base import Domain, Entrant, Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.reasoning_study import ReasoningStudy
from argmind.quickstart.screen import Screen
from argmind.quickstart.tour import tour
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.registry import register

_FEEDFORWARD = "predictor.transformer.feedforward.multiplier"


@register("quickstart", "reasoning")
def reasoning_quickstart(
    *, minutes: float = 6.0, out: str | Path | None = None, seed: int = 0, silent: bool = False
) -> dict[str, Any]:
    """An EBT, a looped and a one-pass transformer of equal size learn Sudoku for equally long.

    Raises:
        UserError: see :func:`argmind.quickstart.tour.tour`.
    """
    folder = None if out is None else Path(out)
    return tour(ReasoningDomain(), minutes=minutes, out=folder, seed=seed, silent=silent)


@dataclass(frozen=True, kw_only=True)
class ReasoningSizes:
    """What two CPU cores can train in minutes."""

    side: Literal[4, 6] = 6
    train_puzzles: int = 4000
    eval_puzzles: int = 1000
    batch_size: int = 16
    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 64
    lr: float = 4e-3  # the loop learns nothing in this time with half of it

    def settings(self, transformer: str) -> list[str]:
        """As settings of a recipe whose transformer stands at this place."""
        return [
            f"data.problem.side={self.side}",
            f"data.problem.train_puzzles={self.train_puzzles}",
            f"data.problem.eval_puzzles={self.eval_puzzles}",
            f"data.eval_samples={self.eval_puzzles}",
            f"training.batch_size={self.batch_size}",
            f"optimizer.lr={self.lr!r}",
            f"{transformer}.num_layers={self.num_layers}",
            f"{transformer}.num_heads={self.num_heads}",
            f"{transformer}.hidden_dim={self.hidden_dim}",
        ]


class ReasoningDomain(Domain):
    """EBT against a loop and one pass on Sudoku."""

    name = "reasoning"
    entrants = (
        Entrant(label="EBT", key="ebt"),
        Entrant(label="Loop", key="loop", folder="looped", width=_FEEDFORWARD),
        Entrant(label="One pass", key="onepass", folder="one_pass", width=_FEEDFORWARD),
    )
    unit = "puzzles"
    #: Puzzles get a new symmetry whenever they are drawn.
    most_epochs = 10_000
    equal = "time"

    def __init__(self, sizes: ReasoningSizes | None = None) -> None:
        self.sizes = sizes or ReasoningSizes()

    def recipes(self) -> tuple[Recipe, ...]:
        """``reasoning_sudoku_ebt``, ``…_looped`` and ``…_one_pass``, made small."""
        settings = self.sizes.settings("predictor.body.transformer")
        thinker = customised(find_recipe("reasoning_sudoku_ebt"), None, settings)
        settings = self.sizes.settings("predictor.transformer")
        rivals = (
            customised(find_recipe(f"reasoning_sudoku_{name}"), None, settings)
            for name in ("looped", "one_pass")
        )
        # The rest of the optimiser and of the batches is the thinker's too: equal terms.
        terms: dict[str, Any] = {"optimizer": thinker.optimizer, "training": thinker.training}
        return (thinker, *(replace(rival, data=thinker.data, **terms) for rival in rivals))

    def describe(self, data: Any) -> str:
        """The puzzles, easy and hard."""
        problem = data.config.problem
        (low, high), (fewest, most) = problem.givens("train"), problem.givens("hard")
        side = self.sizes.side
        return (
            f"Sudoku of {side}×{side} cells with one solution each: {self.sizes.train_puzzles:,} "
            f"puzzles of {low} to {high} givens to learn from, drawn anew by symmetry each time; "
            f"held out are easy ones like these and hard ones of {fewest} to {most} givens, fewer "
            "than any in training."
        )

    def study(self, trained: Trained, clock: Clock, screen: Screen) -> Study:
        """Measure, picture, and tell."""
        return ReasoningStudy(trained, screen).run(clock, self.describe(trained.data))
