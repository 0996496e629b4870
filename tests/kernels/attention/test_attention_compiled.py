"""Fused attention inside compiled thinking steps: no derivative may go missing on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from attention_cases import reference
from torch import Tensor

from argmind.kernels.attention.pair import attend
from argmind.kernels.attention.problem import Limits

HEADS, ROWS, WIDTH = 2, 5, 8
Attend = Callable[..., Tensor]
Energy = Callable[[Tensor, list[Tensor]], Tensor]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def _draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def candidate_energy(attend: Attend) -> Energy:
    """One layer of candidates over a context that the weights make too."""
    context = _draw(2, ROWS, WIDTH, seed=1)
    limits = Limits(torch.arange(ROWS)[None])

    def energy(y: Tensor, weights: list[Tensor]) -> Tensor:
        keys, values = (_heads(context @ w) for w in weights[:2])
        q, own_k, own_v = (_heads(y @ w) for w in weights[2:5])
        seen = attend(q, keys, values, own_k, own_v, limits=limits)
        return (y + seen.transpose(1, 2).flatten(2) @ weights[5]).tanh().square().sum()

    return energy


def full_energy(attend: Attend) -> Energy:
    """One layer in which all rows are candidates."""

    def energy(y: Tensor, weights: list[Tensor]) -> Tensor:
        q, keys, values = (_heads(y @ w) for w in weights[:3])
        seen = attend(q, keys, values)
        return (y + seen.transpose(1, 2).flatten(2) @ weights[3]).tanh().square().sum()

    return energy


def loss_of(energy: Energy, y: Tensor, weights: list[Tensor]) -> Tensor:
    """Two steps, none detached; the second gradient is one of the first's result."""
    for _ in range(2):
        y = y - 0.3 * torch.func.grad(energy)(y, weights)
    return (y**3).sum()


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@pytest.mark.parametrize("energy", [candidate_energy, full_energy], ids=["candidate", "full"])
def test_a_compiled_step_teaches_the_weights_what_the_reference_does(
    energy: Callable[[Attend], Energy], backend: str
) -> None:
    y = _draw(2, ROWS, WIDTH, seed=2)
    count = 6 if energy is candidate_energy else 4
    weights = [(0.5 * _draw(WIDTH, WIDTH, seed=3 + i)).requires_grad_() for i in range(count)]
    want = torch.autograd.grad(loss_of(energy(reference), y, weights), weights)
    fused = energy(attend)
    compiled = torch.compile(loss_of, backend=backend, fullgraph=True)
    got = torch.autograd.grad(compiled(fused, y, weights), weights)
    for one, right in zip(got, want, strict=True):
        torch.testing.assert_close(one, right, rtol=1e-9, atol=1e-10)


def test_nested_functional_gradients() -> None:
    y = _draw(2, ROWS, WIDTH, seed=2)
    weights = [0.5 * _draw(WIDTH, WIDTH, seed=3 + i) for i in range(6)]

    def outer(attend: Attend) -> list[Tensor]:
        return torch.func.grad(lambda w: loss_of(candidate_energy(attend), y, w))(weights)

    for one, right in zip(outer(attend), outer(reference), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-9, atol=1e-10)
