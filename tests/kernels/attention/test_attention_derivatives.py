"""Attention by formula, in chunks of PyTorch: value, gradient and second derivative."""

from __future__ import annotations

import pytest
import torch
from attention_cases import CASES, Case, assert_close, derivatives, reference
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.flop_counter import FlopCounterMode

from argmind.kernels.attention import chunks, ops, plain
from argmind.kernels.attention.pair import attend
from argmind.kernels.attention.problem import Problem, Vectors
from argmind.nn.attention.auto import AutoAttention
from argmind.nn.attention.fused import FusedAttention

CPU = torch.device("cpu")


def double(case: Case) -> Problem:
    return case.problem(CPU, torch.float64)


@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_gradient_and_second_order_gradient_are_the_reference_s(
    case: Case, moving: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = derivatives(reference, double(case), moving)
    assert_close(derivatives(attend, double(case), moving), want, 1e-12)
    monkeypatch.setattr(chunks, "ROWS", 4)
    assert_close(derivatives(attend, double(case), moving), want, 1e-12)


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_finite_differences(case: Case) -> None:
    small = Case(**(vars(case) | {"batch": 1, "head_size": 2, "asked": 3, "keys": 3}))
    problem = double(small)
    given = tuple(x.requires_grad_() for x in problem[:5] if x is not None)

    def function(*inputs: Tensor) -> Tensor:
        return attend(*inputs, limits=problem.limits)

    assert gradcheck(function, given)
    assert gradgradcheck(function, given)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_four_functions_together_are_the_two_derivatives(case: Case) -> None:
    """An outer cotangent of out enters the second adjoint's pass, as an explicit engine uses it."""
    problem, drawn = double(case), torch.Generator().manual_seed(3)
    given = [x.requires_grad_() for x in problem[:5] if x is not None]
    out = reference(*given, limits=problem.limits)
    dout, gout = (torch.randn(out.shape, generator=drawn, dtype=torch.float64) for _ in range(2))
    adjoints = torch.autograd.grad(out, given, dout.requires_grad_(), create_graph=True)
    along = [torch.randn(a.shape, generator=drawn, dtype=torch.float64) for a in adjoints]
    loss = (gout * out).sum() + sum((a * w).sum() for a, w in zip(adjoints, along, strict=True))
    want = torch.autograd.grad(loss, [*given, dout])

    vectors = Vectors(*along, *(None,) * (5 - len(along)))
    with torch.no_grad():
        done = plain.forward(problem)
        inner = plain.inner_backward(problem, *done, dout, True)
        moved = plain.tangent(problem, *done, dout, vectors)
        gains = plain.second_adjoint(problem, done, dout, inner.delta, vectors, moved, gout, True)
    for got, right in zip(_there(gains), want, strict=False):
        torch.testing.assert_close(got, right, rtol=1e-10, atol=1e-12)
    for got, right in zip(_there(inner.adjoints), adjoints, strict=True):
        torch.testing.assert_close(got, right.detach(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(moved.out, want[-1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(moved.product, (dout * moved.out).sum(-1))


def _there(vectors: Vectors) -> list[Tensor]:
    return [x for x in vectors if x is not None]


def test_a_thinking_step_computes_no_adjoint_of_the_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []
    whole = plain.inner_backward

    def counted(*given: object) -> object:
        asked.append(bool(given[-1]))
        return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(plain, "inner_backward", counted)
    y, *rest = (x for x in double(CASES[0])[:5] if x is not None)
    keys, values, own_k, own_v = (2 * x.requires_grad_() for x in rest)  # no leaves
    limits = double(CASES[0]).limits

    def energy(y: Tensor) -> Tensor:
        return attend(y, keys, values, own_k, own_v, limits).square().sum()

    torch.func.grad(energy)(y)
    y.requires_grad_()
    (slope,) = torch.autograd.grad(energy(y), y, create_graph=True)
    assert asked == [False, False]
    slope.square().sum().backward()
    assert asked[2:] == [True]


def test_a_third_derivative_is_refused() -> None:
    problem = double(CASES[1])
    q = problem.q.requires_grad_()
    (slope,) = torch.autograd.grad(
        attend(q, problem.keys, problem.values).square().sum(), q, create_graph=True
    )
    (curvature,) = torch.autograd.grad(slope.square().sum(), q, create_graph=True)
    with pytest.raises(NotImplementedError, match="choose attention=reference"):
        torch.autograd.grad(curvature.sum(), q)


def test_autocast_does_not_reach_statistics() -> None:
    problem = CASES[0].problem(CPU, torch.float32)
    want = derivatives(attend, problem)
    with torch.autocast("cpu", torch.bfloat16):
        got = derivatives(attend, problem)
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_bf16_is_as_accurate_as_its_operands() -> None:
    problem = CASES[0].problem(CPU, torch.bfloat16)
    want = derivatives(reference, Problem(*_doubled(problem), problem.limits))
    assert_close(derivatives(attend, problem), want, 2e-2)


def _doubled(problem: Problem) -> list[Tensor | None]:
    return [None if x is None else x.double() for x in problem[:5]]


@pytest.mark.parametrize("part", [FusedAttention, AutoAttention])
def test_registered_forms_agree_with_the_reference(
    part: type[FusedAttention | AutoAttention], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argmind.kernels.attention.choice.LARGEST_SCORES_BYTES", 0)
    mechanism = part(part.Config())  # type: ignore[arg-type]
    q, keys, values, own_k, own_v, limits = double(CASES[4])
    got = mechanism(q, own_k, own_v, keys, values, limits)
    want = reference(q, keys, values, own_k, own_v, limits)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    q, keys, values, *_ = double(CASES[1])
    torch.testing.assert_close(mechanism.full(q, keys, values), reference(q, keys, values))


def test_operators_promise_what_they_give() -> None:
    problem = double(CASES[3])
    arguments = ops.arguments(problem)
    out, lse = ops.forward_op(*arguments)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(ops.forward_op, arguments, test_utils=checks)
    for shared in (True, False):
        given = (*arguments, out, lse, out, shared)
        torch.library.opcheck(ops.backward_op, given, test_utils=checks)
        *adjoints, delta = ops.backward_op(*given)
        along = (adjoints[0], None, None, *adjoints[3:])
        given = (*arguments, out, lse, out, delta, *along, shared)
        torch.library.opcheck(ops.second_op, given, test_utils=checks)


def test_flop_counter_knows_the_operators() -> None:
    problem = double(Case(head_size=8, batch=1, asked=5, keys=5))
    product = 2 * 2 * 5 * 5 * 8
    arguments = ops.arguments(problem)
    for given, products in (
        ((), 2),
        ((problem.q, problem.q[..., 0], problem.q, False), 2),
        ((problem.q, problem.q[..., 0], problem.q, True), 4),
    ):
        operator = ops.backward_op if given else ops.forward_op
        with FlopCounterMode(display=False) as counter:
            done = operator(*arguments, *given)
        assert counter.get_total_flops() == products * product
    out, lse, delta = problem.q, problem.q[..., 0], done[-1]
    for keys_t, products in ((None, 6), (problem.keys, 10)):
        along = (out, keys_t, keys_t, None, None)
        with FlopCounterMode(display=False) as counter:
            ops.second_op(*arguments, out, lse, out, delta, *along, True)
        assert counter.get_total_flops() == products * product
