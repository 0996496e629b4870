"""Pieces of a thought that is learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from argmind.objectives.known import Gradients
from argmind.thinking.tensors import tensors_in, with_tensors


class Opening(NamedTuple):
    """Where a thought begins."""

    state: Any  # of the context
    start: Tensor  # (B, N, *P, *F)
    target: Tensor
    loss: Tensor | None  # of the start, where it is taught too


class Lesson(NamedTuple):
    """Some steps of a thought, and how they were judged."""

    value: Tensor | None  # to be learnt from; None: these steps were not judged
    candidate: Tensor
    memory: Tensor | None  # of the rule
    task_loss: Tensor | None  # of the last candidate
    energy: Tensor  # mean before the first step
    energy_error: Tensor | None
    diverged: Tensor  # (B, N, *P)


class Teach(Protocol):
    """One step of a thought from a constant candidate: thought and judged."""

    def __call__(self, opening: Opening, y: Tensor, memory: Tensor | None, step: int) -> Lesson:
        """The lesson of this step."""
        ...


def step_by_step(
    weights: Sequence[Tensor], opening: Opening, teach: Teach, judged: Sequence[bool]
) -> Lesson:
    """Steps that start from constants: each one's gradient is taken as soon as it is done.

    What is alive is one step's graph, however many steps there are. The context's is
    differentiated once, for all of them. ``judged`` says which steps have a loss.
    """
    learning = torch.is_grad_enabled()
    encoded = [x for x in tensors_in(opening.state) if x.requires_grad]
    opening = opening._replace(state=with_tensors(opening.state, _leaf))
    leaves = [x for x in tensors_in(opening.state) if x.requires_grad]
    gradients = Gradients([*weights, *leaves])
    y, memory, lessons = opening.start.detach(), None, list[Lesson]()
    for step, has_loss in enumerate(judged):
        with torch.set_grad_enabled(learning and has_loss):
            lesson = teach(opening, y, memory, step)
            if lesson.value is not None and lesson.value.requires_grad:
                gradients.add(lesson.value)
        y = lesson.candidate.detach()
        memory = None if lesson.memory is None else lesson.memory.detach()
        value = None if lesson.value is None else lesson.value.detach()
        lessons.append(lesson._replace(value=value, candidate=y, memory=memory))
    whole = _joined(lessons)
    if gradients.total is None:
        return whole
    return whole._replace(value=gradients.attached([*weights, *encoded]))


def _leaf(x: Tensor) -> Tensor:
    """A constant with the same numbers, where ``x`` has a graph; learning stops there."""
    return x.detach().requires_grad_() if x.requires_grad else x


def _joined(lessons: Sequence[Lesson]) -> Lesson:
    """The lessons of successive steps as one."""
    values = [lesson.value for lesson in lessons if lesson.value is not None]
    errors = [lesson.energy_error for lesson in lessons if lesson.energy_error is not None]
    return lessons[-1]._replace(
        value=torch.stack(values).sum(),
        energy=lessons[0].energy,
        energy_error=torch.stack(errors).sum() if errors else None,
        diverged=torch.stack([lesson.diverged for lesson in lessons]).any(0),
    )
