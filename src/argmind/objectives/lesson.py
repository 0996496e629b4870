"""Pieces of a thought that is learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.objectives.known import Gradients
from argmind.randomness import Randomness, normal, uniform
from argmind.thinking.accept import per_prediction
from argmind.thinking.tensors import tensors_in, with_tensors


class Opening(NamedTuple):
    """Where a thought begins."""

    state: Any  # of the context
    offered: Tensor  # (B, N, *P, *F): the start
    start: Tensor  # the same, perhaps perturbed
    target: Tensor
    sizes: list[Tensor]  # of all steps
    #: (B, N, *P) of the offered start, where it is taught too.
    losses: Tensor | None = None
    #: The same of the start, as constants.
    known: Tensor | None = None


class Found(NamedTuple):
    """What is known of one step, each (B, N, *P)."""

    energy: Tensor
    before: Tensor | None  # constant losses of the candidates it began at
    after: Tensor | None  # losses of those it led to
    learnt: Tensor  # bool

    def foretelling_error(self, relative: bool = False) -> Tensor:
        """How far energies are from the losses of their candidates, which are constants here.

        Huber's error H; relative to the mean loss u it is free of scale: ``u H(E / u, L / u)``.
        """
        assert self.before is not None
        least = torch.finfo(self.before.dtype).tiny
        unit = mean(self.before, self.learnt).clamp(min=least) if relative else 1.0
        error = F.smooth_l1_loss(self.energy / unit, self.before / unit, reduction="none")
        return unit * mean(error, self.learnt)


class Lesson(NamedTuple):
    """Some steps of a thought, and how they were judged."""

    value: Tensor | None  # to be learnt from; None: these steps were not judged
    candidate: Tensor
    losses: Tensor | None  # of the candidate, constant
    memory: Tensor | None  # of the rule
    task_loss: Tensor | None  # of the last candidate
    energy: Tensor  # mean before the first step
    energy_error: Tensor | None
    diverged: Tensor  # (B, N, *P)


class Teach(Protocol):
    """One step of a thought: thought and judged."""

    def __call__(
        self, opening: Opening, y: Tensor, memory: Tensor | None, step: int, known: Tensor | None
    ) -> Lesson:
        """The lesson of this step."""
        ...


def as_tensor(size: Tensor | float, like: Tensor) -> Tensor:
    """A step size as a tensor, in float32 at least."""
    if isinstance(size, Tensor):
        return size
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.full((), size, dtype=dtype, device=like.device)


def drawn_steps(fewest: int, most: int, generator: torch.Generator) -> int:
    """A number from ``fewest`` to ``most``; drawn on the host, so that no device is waited for."""
    if fewest >= most:
        return most
    on_host = torch.Generator().manual_seed(generator.initial_seed())
    return int(torch.randint(fewest, most + 1, (), generator=on_host))


def perturbed(
    start: Tensor, share: float, std: float, feature_axes: int, source: Randomness
) -> Tensor:
    """Some starts moved by noise: candidates that thinking has to bring back."""
    if not share:
        return start
    predictions = start.shape[: start.ndim - feature_axes]
    moved = uniform(predictions, start, source) < share
    return per_prediction(moved, start + std * normal(start.shape, start, source), start)


def mean(losses: Tensor, learnt: Tensor) -> Tensor:
    """Over the predictions that are learnt."""
    return (losses * learnt).sum() / learnt.sum().clamp(min=1)


def all_together(opening: Opening, teach: Teach, steps: int) -> Lesson:
    """Steps each of which goes on from the one before, all graphs alive."""
    y, memory, known, lessons = opening.start, None, opening.known, list[Lesson]()
    for step in range(steps):
        lessons.append(teach(opening, y, memory, step, known))
        _, y, known, memory, *_ = lessons[-1]
    return _joined(lessons)


def step_by_step(
    weights: Sequence[Tensor], opening: Opening, teach: Teach, judged: Sequence[bool]
) -> Lesson:
    """Steps that start from constants: each one's gradient is taken as soon as it is done.

    What is alive is one step's graph, however many steps there are. The context's is
    differentiated once, for all of them. ``judged`` says which steps have a loss.
    """
    learning = torch.is_grad_enabled()
    shared = (opening.state, opening.sizes)
    encoded = [x for x in tensors_in(shared) if x.requires_grad]
    state, sizes = shared = with_tensors(shared, _leaf)
    leaves = [x for x in tensors_in(shared) if x.requires_grad]
    y, memory, known, lessons = opening.start.detach(), None, opening.known, list[Lesson]()
    opening = opening._replace(state=state, sizes=sizes)
    gradients = Gradients([*weights, *leaves])
    for step, has_loss in enumerate(judged):
        with torch.set_grad_enabled(learning and has_loss):
            lesson = teach(opening, y, memory, step, known)
            if lesson.value is not None and lesson.value.requires_grad:
                gradients.add(lesson.value)
        y, known = lesson.candidate.detach(), lesson.losses
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
