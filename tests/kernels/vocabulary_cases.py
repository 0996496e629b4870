"""The functions of the vocabulary step, with inputs, as tests run over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argmind.kernels import vocabulary
from argmind.kernels.vocabulary import reference

ROWS, VOCABULARY, DIM = 6, 7, 3


@dataclass(frozen=True)
class Case:
    """A function of the package or of its reference, and the shapes of its tensors."""

    name: str
    call: Callable[..., Tensor]  # (module, target, *tensors)
    shapes: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return self.name

    def tensors(self, rows: int = ROWS, seed: int = 0, **options: Any) -> tuple[Tensor, ...]:
        """Random inputs that want a gradient."""
        sizes = {"T": rows, "V": VOCABULARY, "D": DIM} | options.pop("sizes", {})
        generator = torch.Generator().manual_seed(seed)
        scale, options = options.pop("scale", 1.0), {"dtype": torch.float64} | options
        drawn = [
            torch.randn([sizes[axis] for axis in shape], generator=generator, dtype=torch.float64)
            for shape in self.shapes
        ]
        return tuple((scale * x).to(**options).requires_grad_() for x in drawn)

    def chunked(self, target: Tensor) -> Callable[..., Tensor]:
        """The package's function."""
        return lambda *tensors: self.call(vocabulary, target, *tensors)

    def plain(self, target: Tensor) -> Callable[..., Tensor]:
        """The reference."""
        return lambda *tensors: self.call(reference, target, *tensors)


CASES = (
    Case(
        "expected of vectors",
        lambda of, target, s, w, e: of.expected_embedding(s, w, e),  # noqa: ARG005
        (("T", "D"), ("V", "D"), ("V", "D")),
    ),
    Case(
        "expected, tied",
        lambda of, target, s, w: of.expected_embedding(s, w, w),  # noqa: ARG005
        (("T", "D"), ("V", "D")),
    ),
    Case(
        "expected, own matrix",
        lambda of, target, s, w, e: of.expected_embedding(s, w, e.T),  # noqa: ARG005
        (("T", "D"), ("V", "D"), ("D", "V")),
    ),
    Case(
        "expected of logits",
        lambda of, target, y, e: of.expected_embedding(y, None, e),  # noqa: ARG005
        (("T", "V"), ("V", "D")),
    ),
    Case(
        "loss of vectors",
        lambda of, target, s, w: of.token_loss(s, w, target),
        (("T", "D"), ("V", "D")),
    ),
    Case("loss of logits", lambda of, target, y: of.token_loss(y, None, target), (("T", "V"),)),
    Case(
        "simplex step",
        lambda of, target, y, d, e: of.simplex_step(y, d, e),  # noqa: ARG005
        (("T", "V"), ("T", "D"), ("V", "D")),
    ),
)


def targets(rows: int = ROWS, vocabulary: int = VOCABULARY) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(vocabulary, (rows,), generator=generator)


def derivatives(function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Value, first derivatives, and derivatives of a mixture of these, along fixed directions."""
    generator = torch.Generator().manual_seed(9)

    def along(x: Tensor) -> Tensor:
        direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        return (x * direction.to(x)).sum()

    value = function(*inputs)
    # A factor of the value beside it makes the cotangent of the first derivative depend on inputs.
    total = along(value) + 0.1 * along(value.sin())
    first = torch.autograd.grad(total, inputs, create_graph=True)
    second = torch.autograd.grad(sum(along(x) for x in first), inputs)
    return [x.detach() for x in (value, *first, *second)]
