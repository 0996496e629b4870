"""Operations with derivatives of their own: value, both derivatives, and what compilers see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from argmind.nn.attention.auto import AutoAttention
from argmind.nn.attention.reference import ReferenceAttention
from argmind.nn.differentiated import at_most_once, once
from argmind.nn.position import rotate, rotation
from argmind.nn.written_out import gated, normed
from argmind.thinking.gradient import energy_gradient
from graph_nodes import node_names

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
    "normed": (
        lambda x, w: normed(x, 0.1, weight=w[0]),
        lambda x, w: plainly_normed(x) * w[0],
    ),
    "centred": (
        lambda x, w: normed(x, 0.1, centred=True, weight=w[0], bias=w[1]),
        lambda x, w: plainly_normed(x - x.mean(-1, keepdim=True)) * w[0] + w[1],
    ),
    "turned": (turned, plainly_turned),
}
#: Nodes of the written-out forms in a graph of autograd.
OWN = {"_GatedBackward", "_NormedBackward"}
NEAR = {torch.float64: {}, torch.bfloat16: {"rtol": 0.05, "atol": 0.05}}
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


@pytest.mark.parametrize("name", ["gated", "normed", "centred"])
@pytest.mark.parametrize("dtype", NEAR)
def test_what_is_differentiated_once_takes_another_form_of_the_same(
    name: str, dtype: torch.dtype
) -> None:
    written, _ = CASES[name]
    found, nodes = [], []
    for scope in (nullcontext(), once()):
        given = drawn(dtype)
        with scope:
            out = written(*given)
        found.append((out, *torch.autograd.grad(out.sin().sum(), given)))
        nodes.append(node_names(out))
    assert nodes[0] & OWN
    assert not nodes[1] & OWN
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **NEAR[dtype])


def test_thinking_alone_uses_those_forms_and_learning_does_not() -> None:
    x = drawn()[0].detach()
    seen: list[set[str]] = []

    def energies(point: Tensor) -> Tensor:
        energy = normed(point, 0.1).square().sum(-1)
        seen.append(node_names(energy))
        return energy

    alone, _ = energy_gradient(energies, x, graph=False)
    learnt, _ = energy_gradient(energies, x.clone().requires_grad_(), graph=True)
    assert not seen[0] & OWN
    assert seen[1] & OWN
    torch.testing.assert_close(alone, learnt)
    assert not at_most_once()
    with torch.no_grad():
        assert at_most_once()


def test_attention_over_all_rows_has_its_own_form_only_where_it_is_differentiated_once() -> None:
    mechanism = AutoAttention(AutoAttention.Config())
    reference = ReferenceAttention(ReferenceAttention.Config())
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, rows, 4) for rows in (5, 7, 7)]
    given = [
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]
    plain = reference.full(*given)
    learning = mechanism.full(*given)
    with once():
        alone = mechanism.full(*given)
    assert not any("ScaledDotProduct" in name for name in node_names(learning))
    assert any("ScaledDotProduct" in name for name in node_names(alone))
    torch.testing.assert_close(alone, plain)
    for one, other in zip(
        torch.autograd.grad(alone.sin().sum(), given),
        torch.autograd.grad(plain.sin().sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
