"""Random draws from explicit generators: one for a batch, or one per row of it.

With a generator per row, what a row draws does not depend on its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Draws:
    """Numbers drawn beforehand, handed out in order: for code that cannot use a generator."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._left = list(tensors)

    def take(self) -> Tensor:
        """The next ones."""
        return self._left.pop(0)


class Unfilled:
    """Gives tensors that nobody has filled."""


@dataclass(frozen=True)
class Repeated:
    """The same numbers for every ``times``-th part of the rows, in order."""

    source: torch.Generator
    times: int


class Request(NamedTuple):
    """One draw that was asked for."""

    draw: Callable[..., Tensor]
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def made(self, source: Randomness) -> Tensor:
        """The numbers."""
        return _made(self, source)


class Tape:
    """Remembers what is asked of it, and what it gave: :class:`Draws` can give that again."""

    def __init__(self, source: Randomness = Unfilled()) -> None:  # noqa: B008
        self._source = source
        self.requests: list[Request] = []
        self.tensors: list[Tensor] = []

    def give(self, request: Request) -> Tensor:
        """Draw, and remember it."""
        self.requests.append(request)
        self.tensors.append(request.made(self._source))
        return self.tensors[-1]


Randomness = torch.Generator | Sequence[torch.Generator] | Draws | Repeated | Tape | Unfilled | None


def normal(shape: Sequence[int], like: Tensor, source: Randomness) -> Tensor:
    """Standard normal numbers with the type and device of ``like``."""
    return _draw(torch.randn, shape, like, source)


def uniform(shape: Sequence[int], like: Tensor, source: Randomness) -> Tensor:
    """Uniform numbers in [0, 1) with the type and device of ``like``."""
    return _draw(torch.rand, shape, like, source)


def _draw(
    draw: Callable[..., Tensor], shape: Sequence[int], like: Tensor, source: Randomness
) -> Tensor:
    return _made(Request(draw, tuple(shape), like.dtype, like.device), source)


def _made(request: Request, source: Randomness) -> Tensor:
    draw, shape, dtype, device = request
    if isinstance(source, Draws):
        return source.take()
    if isinstance(source, Tape):
        return source.give(request)
    if isinstance(source, Unfilled):
        return torch.empty(shape, dtype=dtype, device=device)
    if isinstance(source, Repeated):
        few = (shape[0] // source.times, *shape[1:])
        rows = draw(few, generator=source.source, dtype=dtype, device=device)
        return rows.repeat(source.times, *(1 for _ in shape[1:]))
    if source is None or isinstance(source, torch.Generator):
        return draw(shape, generator=source, dtype=dtype, device=device)
    rows = [draw(shape[1:], generator=one, dtype=dtype, device=device) for one in source]
    return torch.stack(rows)
