"""A loss whose gradients are known before its backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Gradients:
    """Gradients of a sum of losses, added up loss by loss; each loss's graph is freed at once.

    ``inputs``: what to differentiate with respect to.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self.inputs = list(inputs)
        self.total: Tensor | None = None
        self._sums: list[Tensor | None] = [None] * len(self.inputs)

    def add(self, loss: Tensor) -> None:
        """Differentiate a further loss."""
        found = torch.autograd.grad(loss, self.inputs, allow_unused=True)
        self.total = loss.detach() if self.total is None else self.total + loss.detach()
        for index, gradient in enumerate(cast(tuple[Tensor | None, ...], found)):
            so_far = self._sums[index]
            if gradient is not None:
                self._sums[index] = gradient if so_far is None else so_far + gradient

    def attached(self, stand_for: Sequence[Tensor]) -> Tensor:
        """The sum of losses; its backward gives these gradients to ``stand_for``.

        It can be differentiated once, and its backward runs once.
        """
        if self.total is None:
            raise ValueError("there is no loss")
        sums, self._sums = self._sums, []
        return cast(Tensor, _Known.apply(self.total, sums, *stand_for))


class _Known(torch.autograd.Function):
    """The value as it is; gradients that are already there, times that of the value."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor | None], *inputs: Tensor) -> Tensor:  # noqa: ARG004
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gradients: list[Tensor | None] = ctx.gradients
        if not gradients:
            raise RuntimeError("the gradients of this loss have been used up")
        scaled: list[Tensor | None] = []
        for index, gradient in enumerate(gradients):
            scaled.append(None if gradient is None else gradient * scale.to(gradient.dtype))
            gradients[index] = None  # its memory is free for the next one
        gradients.clear()
        return (None, None, *scaled)
