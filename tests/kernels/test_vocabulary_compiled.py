"""Inside a compiled step the vocabulary step is differentiated as it is outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from vocabulary_cases import ROWS, VOCABULARY, targets

from argmind.kernels import vocabulary
from argmind.kernels.vocabulary import operation

Chosen = Callable[[int, int], None]
DIM = 4
TARGETS = targets()


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def of_vectors(s: Tensor, w: Tensor, e: Tensor, mixed: Tensor) -> Tensor:
    """A thinking step on vectors with its inner gradient, and the loss of where it leads."""

    def energy(s: Tensor) -> Tensor:
        seen = vocabulary.expected_embedding(s, w, e)
        return ((seen @ mixed).tanh() * s).sum() + (seen**3).sum()

    moved = s - 0.3 * torch.func.grad(energy)(s)
    return vocabulary.token_loss(moved, w, TARGETS).mean()


def of_logits(s: Tensor, w: Tensor, e: Tensor, mixed: Tensor) -> Tensor:
    """The same on logits, then a step off the simplex."""

    def energy(y: Tensor) -> Tensor:
        return ((vocabulary.expected_embedding(y, None, e) @ mixed).tanh() ** 2).sum()

    y = s @ w.T
    y = y - 0.3 * torch.func.grad(energy)(y)
    point = vocabulary.expected_embedding(y, None, e)
    step = torch.func.grad(lambda x: (x @ mixed).tanh().sum())(point)
    return vocabulary.token_loss(vocabulary.simplex_step(y, step, e), None, TARGETS).mean()


def learnt(function: Callable[..., Tensor], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """The loss and the gradients of everything."""
    shapes = ((ROWS, DIM), (VOCABULARY, DIM), (VOCABULARY, DIM), (DIM, DIM))
    inputs = [draw(*shape, seed=seed).to(dtype) for seed, shape in enumerate(shapes)]
    for x in inputs:
        x.requires_grad_()
    loss = function(*inputs)
    return [loss.detach(), *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize(
    ("function", "backend"),
    [(of_vectors, "aot_eager"), (of_logits, "aot_eager"), (of_vectors, "inductor")],
)
def test_compiled_equals_whole(
    function: Callable[..., Tensor],
    backend: str,
    keeps: bool,
    rows_at_a_time: Chosen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = learnt(function)
    rows_at_a_time(4, VOCABULARY)
    monkeypatch.setattr(vocabulary, "logits_fit", lambda *_: keeps)
    compiled = torch.compile(function, fullgraph=True, backend=backend)
    for found in (learnt(function), learnt(compiled)):
        for x, y in zip(found, wanted, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("candidates_begin_aligned")
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_steps_between_aligned_candidates(backend: str, rows_at_a_time: Chosen) -> None:
    wanted = learnt(of_logits)
    rows_at_a_time(4, VOCABULARY)
    compiled = torch.compile(of_logits, fullgraph=True, backend=backend)
    for x, y in zip(learnt(compiled), wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("within", [True, False])
def test_compiled_under_autocast_equals_eager(within: bool, rows_at_a_time: Chosen) -> None:
    rows_at_a_time(4, VOCABULARY)

    def cast(*inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return of_vectors(*inputs)

    wanted = learnt(cast, torch.float32)
    if within:
        found = learnt(torch.compile(cast, fullgraph=True, backend="aot_eager"), torch.float32)
    else:
        compiled = torch.compile(of_vectors, fullgraph=True, backend="aot_eager")
        with torch.autocast("cpu", torch.bfloat16):
            found = learnt(compiled, torch.float32)
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=0.03, atol=0.003)


def test_a_dropped_second_derivative_would_be_seen(
    rows_at_a_time: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = learnt(of_vectors)
    rows_at_a_time(4, VOCABULARY)
    nothing = staticmethod(lambda ctx, *_: (None,) * (2 + len(ctx.saved_tensors)))
    monkeypatch.setattr(operation._Gradients, "backward", nothing)
    found = learnt(torch.compile(of_vectors, fullgraph=True, backend="aot_eager"))
    assert (found[1] - wanted[1]).norm() > 1e-2 * wanted[1].norm()
