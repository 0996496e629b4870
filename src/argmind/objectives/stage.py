"""A part of an objective's work that may be compiled."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from argmind.randomness import Draws, Randomness, Request, Tape
from argmind.thinking.tensors import signature

R = TypeVar("R")


class Stage(Generic[R]):
    """``function(*inputs, source)``: tensors in, tensors out, random numbers from ``source``.

    Uncompiled it is called as it is. A compiler cannot see through a generator: what the compiled
    form will draw is found out beforehand, once for every kind of inputs, by a run on tensors that
    hold nothing; the numbers are drawn outside, in the same order, and handed in.
    """

    def __init__(self, function: Callable[..., R]) -> None:
        self._function = function
        self._compiled: Callable[..., R] | None = None
        self._requests: dict[Hashable, list[Request]] = {}

    def compile(self, backend: str | Callable[..., Any] = "inductor") -> None:
        """Compile, one program for every kind of inputs, when it is first called for."""
        from torch._functorch import config as layouts  # not for those who never compile

        # Parts that need their step as a number are a program for each: no accident.
        settings = torch._dynamo.config  # pyright: ignore[reportPrivateUsage]
        settings.recompile_limit = max(64, settings.recompile_limit)
        # Derivatives by outputs come as the outputs lie: older compilers would copy them.
        if hasattr(layouts, "guess_tangent_strides_as_outputs"):
            layouts.guess_tangent_strides_as_outputs = True
        self._compiled = torch.compile(
            self._with_draws, backend=backend, fullgraph=True, dynamic=False
        )

    @property
    def is_compiled(self) -> bool:
        """Will a call run compiled code?"""
        return self._compiled is not None

    @contextmanager
    def as_written(self) -> Generator[None]:
        """Uncompiled inside the ``with`` block."""
        compiled, self._compiled = self._compiled, None
        yield
        self._compiled = compiled

    def give_up(self) -> None:
        """Stay uncompiled."""
        self._compiled = None

    def __call__(self, *inputs: Any, source: Randomness = None) -> R:
        """The function's result."""
        if self._compiled is None:
            return self._function(*inputs, source)
        draws = [request.made(source) for request in self._asked(inputs)]
        return self._compiled(inputs, draws)

    def _with_draws(self, inputs: tuple[Any, ...], draws: list[Tensor]) -> R:
        return self._function(*inputs, Draws(draws))

    def _asked(self, inputs: tuple[Any, ...]) -> list[Request]:
        kind = signature(inputs)
        if kind not in self._requests:
            tape = Tape()
            with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
                self._function(*inputs, tape)
            self._requests[kind] = tape.requests
        return self._requests[kind]
