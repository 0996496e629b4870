"""A loaded reasoning run: puzzles in, checked answers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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
from argmind.reasoning.puzzles import as_line, cell_name, first_clash, parse_puzzles
from argmind.reasoning.written import Answer, Line, form_of, in_groups, read_lines
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

    @property
    def written(self) -> Answer:
        """The same with boards as lines."""
        return Answer(
            problem=as_line(self.given),
            answer=as_line(self.answer),
            wrong=self.wrong,
            energy=self.energy,
            steps=self.steps,
            nfe=self.nfe,
            way=[(as_line(board), energy) for board, energy in self.way],
        )


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
    def plays_sudoku(self) -> bool:
        """Are its problems boards?"""
        return self.problem.part_name in SUDOKU

    @property
    def board(self) -> Board:
        """The board it was trained on.

        Raises:
            UserError: it was not trained on Sudoku.
        """
        if not self.plays_sudoku:
            kind = self.problem.part_name
            raise UserError(f"{self.run.folder} was trained on '{kind}', which has no boards.")
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

        Of problems of other kinds an :class:`Answer`; how they are written is told by
        ``argmind solve --help``. ``thinking`` are fields of :class:`Budget`:
        ``solve(puzzle, steps=16, candidates=8)``.

        Raises:
            UserError: a puzzle or budget that cannot be used.
        """
        try:
            asked = budget or Budget(**thinking)
        except (TypeError, ValueError) as error:
            raise UserError(f"budget: {error}") from error
        lines = [puzzle] if isinstance(puzzle, str) else list(puzzle)
        if self.plays_sudoku:
            given = parse_puzzles(lines, self.board, "puzzles")
            solutions: Sequence[Any] = self.answer(given, asked, seed=seed)
        else:
            solutions = self.answer_lines(self.read(lines, "problems"), asked, seed=seed)
        return solutions[0] if isinstance(puzzle, str) else solutions

    def answer(
        self, given: Cells, budget: Budget, *, seed: int = 0, first: int = 0
    ) -> list[Solution]:
        """Solutions of boards (n, cells); each draws from a stream of its own.

        Args:
            first: number of the first of them, where they are answered in parts.
        """
        board, numbers = self.board, range(first, first + len(given))
        said = self._said(_problem(given, board), budget, seed, numbers)
        answers = _boards(said.output, given)
        return [
            Solution(
                given=given[row],
                answer=answers[row],
                wrong=_wrong(answers[row], bool(said.diverged[row]), board),
                energy=float(said.energy[row]),
                steps=int(said.steps[row]),
                nfe=int(said.nfe[row]),
                way=[
                    (_boards(output, given[row : row + 1])[0], energy)
                    for output, energy in _way(said, row)
                ],
            )
            for row in range(len(given))
        ]

    def read(self, lines: Sequence[str], name: str) -> list[Line]:
        """Problems of other kinds than Sudoku, one a line.

        Args:
            name: of where the lines come from, for messages.

        Raises:
            UserError: no problem, or a line that is none; says which.
        """
        return read_lines(lines, self.form, name)

    @cached_property
    def form(self) -> Any:
        """How its problems are written.

        Raises:
            UserError: they are not.
        """
        return form_of(self.problem)

    def answer_lines(
        self, lines: Sequence[Line], budget: Budget, *, seed: int = 0, batch_size: int = 64
    ) -> list[Answer]:
        """Answers to problems of :meth:`read`, in their order; those of one size together."""
        found: dict[int, Answer] = {}
        for numbers in in_groups(lines, batch_size):
            batch = self.form.together([lines[number] for number in numbers])
            problem = {name: torch.from_numpy(rows) for name, rows in batch.items()}
            said = self._said(problem, budget, seed, numbers)
            ways = [_way(said, row) for row in range(len(numbers))]
            for row, (number, way) in enumerate(zip(numbers, ways, strict=True)):
                found[number] = self.form.judged(lines[number], said, row, way)
        return [found[number] for number in range(len(lines))]

    def _said(
        self, problem: dict[str, Tensor], budget: Budget, seed: int, numbers: Sequence[int]
    ) -> Prediction:
        """What the model says of problems with these numbers, each with draws of its own."""
        self.predictor.check(budget)
        device = self.run.device
        here = {name: x.to(device) for name, x in problem.items()}
        seeds = row_seeds(seed, _THINKING, numbers)
        draws = [torch.Generator(device).manual_seed(one) for one in seeds.tolist()]
        return self.predictor.predict(here, budget, draws)


def _way(said: Prediction, row: int) -> list[tuple[Tensor, float]]:
    """One problem's outputs (1, …) with their energies, where they were kept."""
    if said.trace is None:
        return []
    steps = zip(said.trace.outputs, said.trace.energies, strict=True)
    return [(output[row : row + 1], float(energy[row])) for output, energy in steps]


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
