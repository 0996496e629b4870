"""Operations with derivatives of their own: value, both derivatives, and what compilers see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from argmind.nn.position import rotate, rotation
from argmind.nn.written_out import gated, normed

Operation = Callable[..., Tensor]


def turned(x: Tensor, _: Tensor) -> Tensor:
    return rotate(x[None, None], rotation(torch.arange(5)[None], 6, 10_000.0, x.dtype))


def plainly_normed(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 0.1)


def plainly_turned(x: Tensor, _: Tensor) -> Tensor:
    turn = rotation(torch.arange(5)[None], 6, 10_000.0, x.dtype)
    even, odd = x[None, None, :, 0::2], x[None, None, :, 1::2]
    pairs = even * turn.cos - odd * turn.sin, even * turn.sin + odd * turn.cos
    return torch.stack(pairs, -1).flatten(-2)


CASES: dict[str, tuple[Operation, Operation]] = {
    "gated": (gated, lambda a, b: F.silu(a) * b),
    "normed": (lambda x, w: normed(x, 0.1) * w, lambda x, w: plainly_normed(x) * w),
    "centred": (
        lambda x, w: normed(x, 0.1, centred=True) * w,
        lambda x, w: plainly_normed(x - x.mean(-1, keepdim=True)) * w,
    ),
    "turned": (turned, plainly_turned),
}
every = pytest.mark.parametrize("name", CASES)


def drawn(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return a.to(dtype).requires_grad_(), b.to(dtype).requires_grad_()


@every
def test_both_derivatives_by_finite_differences(name: str) -> None:
    written, plain = CASES[name]
    torch.testing.assert_close(written(*drawn()), plain(*drawn()))
    given = drawn()[:1] if name == "turned" else drawn()
    rest = drawn()[len(given) :]
    assert gradcheck(lambda *x: written(*x, *rest), given)
    assert gradgradcheck(lambda *x: written(*x, *rest), given)


@every
def test_further_derivatives_are_right_too(name: str) -> None:
    def third(operation: Operation) -> Tensor:
        a, b = drawn()
        value = operation(a, b).tanh().sum()
        for _ in range(2):
            (slope,) = torch.autograd.grad(value, a, create_graph=True)
            value = slope.tanh().sum()
        return torch.autograd.grad(value, a)[0]

    written, plain = CASES[name]
    torch.testing.assert_close(third(written), third(plain))


@every
def test_transforms_see_the_same(name: str) -> None:
    written, plain = CASES[name]

    def slope_of(operation: Operation) -> Tensor:
        a, b = drawn()
        slope = torch.func.grad(lambda x: operation(x, b).tanh().sum())(a)
        return torch.autograd.grad(slope.square().sum(), a)[0]

    torch.testing.assert_close(slope_of(written), slope_of(plain))


@every
def test_low_precision_keeps_its_type(name: str) -> None:
    written, plain = CASES[name]
    low = written(*drawn(torch.bfloat16))
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.double(), plain(*drawn()), rtol=0.05, atol=0.05)
