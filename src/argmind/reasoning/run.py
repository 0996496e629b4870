"""A loaded reasoning run: puzzles in, checked answers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.data.datasets.reasoning import ReasoningData
from argmind.data.order import row_seeds
from argmind.data.reasoning.boards import Board, Cells
from argmind.data.reasoning.sudoku import as_symbols
from argmind.errors import UserError
from argmind.predictors.base import Prediction
from argmind.reasoning.puzzles import cell_name, first_clash, parse_puzzles
from argmind.runs import LoadedRun, Which, load_run
from argmind.thinking.budget import Budget

SUDOKU = ("sudoku", "sudoku_file")
#: What random numbers of a puzzle are drawn for.
_THINKING = 3


@dataclass(frozen=True)
class Solution:
    """What a model made of one puzzle; boards are (cells,), 0 for an unknown cell."""

    given: Cells
    answer: Cells
    wrong: str  # why it is no solution; empty where it is one
    energy: float
    steps: int
    nfe: int
    #: The board before any step and after each, with its energy, where they were asked for.
    way: Sequence[tuple[Cells, float]] = ()

    @property
    def solved(self) -> bool:
        """By the rules of the game."""
        return not self.wrong


@dataclass(frozen=True)
class ReasoningRun:
    """A run on reasoning problems, whatever model answers them."""

    run: LoadedRun

    @property
    def predictor(self) -> Any:
        """The model itself."""
        return self.run.predictor

    @property
    def problem(self) -> PartConfig:
        """The config of the kind of problem."""
        return getattr(self.run.recipe.data, "problem")  # noqa: B009

    @property
    def board(self) -> Board:
        """The board it was trained on.

        Raises:
            UserError: it was not trained on Sudoku.
        """
        kind = self.problem.part_name
        if kind not in SUDOKU:
            raise UserError(
                f"{self.run.folder} was trained on '{kind}', which has no puzzles to be written as "
                "text: only Sudoku has. `argmind eval` measures it on problems of its own."
            )
        return Board(getattr(self.problem, "side"))  # noqa: B009

    def data(self) -> ReasoningData:
        """The problems that it was trained on and that it held out; made now, or from the cache.

        Raises:
            UserError: they come from a file that is gone, or has changed.
        """
        recipe = self.run.recipe
        data = recipe.data.build(seed=recipe.training.seed)
        if data.fingerprint != self.run.data_fingerprint:
            raise UserError(
                f"the problems are not those that {self.run.folder} was trained on: their file, or "
                "their generator, has changed since."
            )
        return data

    # -------------------------------------------------------------- answers

    def solve(
        self,
        puzzle: str | Sequence[str],
        budget: Budget | None = None,
        *,
        seed: int = 0,
        **thinking: Any,
    ) -> Any:
        """A :class:`Solution` of a Sudoku line, or a list of them for several lines.

        ``thinking`` are fields of :class:`Budget`: ``solve(puzzle, steps=16, candidates=8)``.

        Raises:
            UserError: a puzzle or budget that cannot be used, or a run on something else.
        """
        try:
            asked = budget or Budget(**thinking)
        except (TypeError, ValueError) as error:
            raise UserError(f"budget: {error}") from error
        lines = [puzzle] if isinstance(puzzle, str) else list(puzzle)
        solutions = self.answer(parse_puzzles(lines, self.board, "puzzles"), asked, seed=seed)
        return solutions[0] if isinstance(puzzle, str) else solutions

    def answer(
        self, given: Cells, budget: Budget, *, seed: int = 0, first: int = 0
    ) -> list[Solution]:
        """Solutions of boards (n, cells); each draws from a stream of its own.

        Args:
            first: number of the first of them, where they are answered in parts.
        """
        board, device = self.board, self.run.device
        self.predictor.check(budget)
        problem = {name: x.to(device) for name, x in _problem(given, board).items()}
        seeds = row_seeds(seed, _THINKING, range(first, first + len(given)))
        draws = [torch.Generator(device).manual_seed(one) for one in seeds.tolist()]
        said: Prediction = self.predictor.predict(problem, budget, draws)
        answers = _boards(said.output, given)
        trace = said.trace
        return [
            Solution(
                given=given[row],
                answer=answers[row],
                wrong=_wrong(answers[row], bool(said.diverged[row]), board),
                energy=float(said.energy[row]),
                steps=int(said.steps[row]),
                nfe=int(said.nfe[row]),
                way=[
                    (_boards(output[row : row + 1], given[row : row + 1])[0], float(energy[row]))
                    for output, energy in zip(trace.outputs, trace.energies, strict=True)
                ]
                if trace is not None
                else (),
            )
            for row in range(len(given))
        ]


def _problem(given: Cells, board: Board) -> dict[str, Tensor]:
    places = np.broadcast_to(board.places, (len(given), *board.places.shape))
    return {
        "given": torch.from_numpy(as_symbols(given, board)),
        "known": torch.from_numpy(given > 0),
        "places": torch.from_numpy(places.copy()),
    }


def _boards(output: Tensor, given: Cells) -> Cells:
    """The likeliest values of logits (n, cells, side), 0 where all are equally likely."""
    values = output.float().cpu()
    likeliest = values.argmax(-1) + 1
    told = likeliest.masked_fill(values.amax(-1) == values.amin(-1), 0).numpy()
    return np.where(given > 0, given, told).astype(np.uint8)


def _wrong(answer: Cells, diverged: bool, board: Board) -> str:
    if diverged:
        return "thinking diverged"
    open_ = int((answer == 0).sum())
    if open_:
        return f"{open_} cells are undecided"
    clash = first_clash(answer, board)
    if clash is None:
        return ""
    return (
        f"{clash.value} stands twice in one {clash.unit}: {cell_name(clash.first, board)} and "
        f"{cell_name(clash.second, board)}"
    )


def load_reasoning_run(
    folder: str | Path, *, which: Which | int = "best", device: str = "auto"
) -> ReasoningRun:
    """Load a run on reasoning problems.

    Raises:
        UserError: see :func:`argmind.runs.load_run`.
    """
    return ReasoningRun(load_run(folder, which=which, device=device))
