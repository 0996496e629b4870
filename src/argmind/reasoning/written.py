"""Problems of all kinds but Sudoku as lines of text: read in, answered, judged, written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from argmind.config import PartConfig
from argmind.data.reasoning.base import Array, Problems, Samples
from argmind.errors import UserError
from argmind.predictors.base import Prediction
from argmind.reasoning.forms.base import Form, Unreadable
from argmind.reasoning.forms.brackets import DyckForm
from argmind.reasoning.forms.digits import AdditionForm, MultiplicationForm
from argmind.reasoning.forms.graphs import ConnectivityForm, PathForm
from argmind.reasoning.forms.matrices import CompletionForm, InverseForm, SumForm
from argmind.reasoning.forms.ranks import SortingForm

#: Forms by kind of problem.
FORMS: dict[str, type[Form[Any]]] = {
    "addition": AdditionForm,
    "multiplication": MultiplicationForm,
    "dyck": DyckForm,
    "sorting": SortingForm,
    "connectivity": ConnectivityForm,
    "shortest_path": PathForm,
    "inverse": InverseForm,
    "completion": CompletionForm,
    "vector_sum": SumForm,
}


class Line(NamedTuple):
    """A line, and the problem that it is."""

    text: str
    problem: Samples


@dataclass(frozen=True)
class Answer:
    """What a model made of one problem, all in writing."""

    problem: str
    answer: str
    wrong: str  # why it is none; empty where it is right
    energy: float
    steps: int
    nfe: int
    #: The answer before any step and after each, with its energy, where they were asked for.
    way: Sequence[tuple[str, float]] = ()

    @property
    def solved(self) -> bool:
        """By the exact checker."""
        return not self.wrong


class Written:
    """The problems of one run, in writing."""

    def __init__(self, form: Form[Any]) -> None:
        self.form, self.problems = form, form.problems
        self.symbols = "symbols" in form.problems.inputs

    def together(self, lines: Sequence[Line]) -> Samples:
        """Problems of one size as a batch."""
        names = lines[0].problem
        return {name: np.concatenate([line.problem[name] for line in lines]) for name in names}

    def judged(
        self, line: Line, said: Prediction, row: int, way: Sequence[tuple[Tensor, float]]
    ) -> Answer:
        """The answer to one problem of a batch, checked."""
        given = line.problem["given"]
        answer = self._answer(said.output[row : row + 1], line.problem)
        wrong = ""
        if bool(said.diverged[row]):
            wrong = "thinking diverged"
        elif not bool(self.problems.correct(given, answer)[0]):
            wrong = self.form.rule
        return Answer(
            problem=line.text,
            answer=self.form.write(given[0], answer[0]),
            wrong=wrong,
            energy=float(said.energy[row]),
            steps=int(said.steps[row]),
            nfe=int(said.nfe[row]),
            way=[
                (self.form.write(given[0], self._answer(output, line.problem)[0]), energy)
                for output, energy in way
            ],
        )

    def _answer(self, output: Tensor, problem: Samples) -> Array:
        """The likeliest symbols (1, L), known ones as they are given; or the numbers (1, L, W)."""
        told = output.float().cpu()
        if not self.symbols:
            return told.numpy()
        likeliest = told.argmax(-1).numpy()
        if problem["given"].dtype.kind == "f":  # numbers in, symbols out
            return likeliest
        return np.where(problem["known"], problem["given"], likeliest)


def form_of(config: PartConfig) -> Written:
    """How problems of this kind are written.

    Raises:
        UserError: they are not.
    """
    kind = config.part_name
    if kind not in FORMS:
        raise UserError(f"problems of kind '{kind}' are not written as text.")
    problems: Problems = config.build()
    return Written(FORMS[kind](problems))


def read_lines(lines: Sequence[str], written: Written, name: str) -> list[Line]:
    """One problem a line; empty lines and # lines are left out.

    Raises:
        UserError: no problem, or a line that is none; says which.
    """
    found: list[Line] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            found.append(Line(text, written.form.read(text)))
        except Unreadable as error:
            raise UserError(f"{name}:{number}: {error}") from error
    if not found:
        raise UserError(f"{name} holds no problem: write one a line, as {written.form.example}.")
    return found


def in_groups(lines: Sequence[Line], most: int) -> Iterator[list[int]]:
    """Numbers of problems of one size, ``most`` at a time."""
    sizes: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        sizes.setdefault(line.problem["known"].shape[1], []).append(number)
    for numbers in sizes.values():
        for first in range(0, len(numbers), most):
            yield numbers[first : first + most]
