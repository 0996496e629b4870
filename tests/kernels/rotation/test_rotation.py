"""Heads turned and taken apart by one operator: value, derivatives, and what compilers make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rotation_cases import HEADS, LENGTH, SIZE, drawn, part_by_part
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from argmind.kernels.attention.problem import Limits
from argmind.kernels.rotation import heads
from argmind.nn import position, self_attention
from argmind.nn.attention.reference import ReferenceAttention
from argmind.nn.position import Rotation, turned_apart
from argmind.nn.self_attention import SelfAttention

problems = pytest.mark.parametrize("problems", [1, 2])
Chosen = tuple[int, ...]


@problems
@pytest.mark.parametrize("chosen", [HEADS, HEADS[1:]])
def test_it_is_each_part_turned_by_itself(problems: int, chosen: Chosen) -> None:
    rows, turn = drawn(problems)
    rows = rows[..., : sum(chosen) * SIZE]
    found, wanted = turned_apart(rows, turn, chosen), part_by_part(rows, turn, chosen)
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y)
        # As linear layers give rows, which attention reads without a copy.
        assert x.transpose(1, 2).is_contiguous()


@problems
def test_both_derivatives_by_finite_differences(problems: int) -> None:
    rows, turn = drawn(problems)
    rows.requires_grad_()

    def function(x: Tensor) -> tuple[Tensor, ...]:
        queries, keys, values = turned_apart(x, turn, HEADS)
        return queries.sin(), keys, values.square()

    assert gradcheck(function, (rows,), fast_mode=True)
    assert gradgradcheck(function, (rows,), fast_mode=True)


def learnt(function: Callable[..., tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Inside an inner gradient by ``torch.func.grad``, its own gradients by rows and a weight."""
    rows, turn = drawn(2)
    weight = torch.linspace(0.5, 1.5, rows.shape[-1], dtype=rows.dtype).requires_grad_()
    rows.requires_grad_()

    def loss(rows: Tensor, weight: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        def energy(x: Tensor) -> Tensor:
            queries, keys, values = function(x * weight, Rotation(cos, sin), HEADS)
            return (queries.sin().sum(1) * keys.sum(1) * values.cos().sum(1)).sum()

        return torch.func.grad(energy)(rows).square().sum()

    if function is not part_by_part:
        loss = torch.compile(loss, fullgraph=True, backend="aot_eager")
    return torch.autograd.grad(loss(rows, weight, *turn), (rows, weight))


def test_compiled_inner_gradients_keep_their_second_derivative() -> None:
    torch.compiler.reset()
    for x, y in zip(learnt(turned_apart), learnt(part_by_part), strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_self_attention_is_the_same_by_either_way(
    qk_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel serves, unless a norm stands between projection and rotation."""
    torch.manual_seed(0)
    mechanism = ReferenceAttention(ReferenceAttention.Config())
    attention = SelfAttention(4 * SIZE, 4, 2, mechanism, qk_norm).double()
    x = torch.randn(2, LENGTH, 4 * SIZE, dtype=torch.float64, requires_grad=True)
    turn = drawn(2)[1]
    used: list[Chosen] = []
    apart = position.turned_apart
    monkeypatch.setattr(
        self_attention, "turned_apart", lambda *given: (used.append(given[-1]), apart(*given))[1]
    )

    def outcome(kernel: bool) -> list[Tensor]:
        monkeypatch.setattr(self_attention, "has_kernel", lambda _: kernel)
        queries, seen = attention.read(x, turn)
        context = attention.context(queries, seen, None)
        limits = Limits(torch.arange(LENGTH)[None])
        rows = attention.candidate(x, turn, attention.keys_values(x, turn), limits)
        parameters = list(attention.parameters())
        loss = (context.sin() + rows.cos()).sum()
        return [context, rows, *torch.autograd.grad(loss, [x, *parameters])]

    plain = outcome(kernel=False)
    assert not used
    for found, wanted in zip(outcome(kernel=True), plain, strict=True):
        torch.testing.assert_close(found, wanted)
    assert used == ([] if qk_norm else [(4, 2, 2), (2, 2), (4, 2, 2)])


def test_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_triton", lambda: object())
    gpu = torch.device("cuda")
    assert heads.serves(gpu, torch.bfloat16)
    assert not heads.serves(gpu, torch.float64)
    assert not heads.serves(torch.device("cpu"), torch.float32)
    monkeypatch.setattr(heads, "_triton", lambda: None)
    assert not heads.serves(gpu, torch.bfloat16)


def test_only_compiled_code_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "serves", lambda *_: True)
    rows: Any = torch.ones(1)
    assert not position.has_kernel(rows)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert position.has_kernel(rows)
