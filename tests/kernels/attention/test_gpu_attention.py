"""The Triton kernels on a GPU against float64: forms, types, head sizes, lengths, padding."""

from __future__ import annotations

import pytest
import torch
from attention_cases import Case, assert_close, derivatives, reference

from argmind.kernels.attention.choice import why_not_triton
from argmind.kernels.attention.pair import attend
from argmind.kernels.attention.problem import Problem

GPU = torch.device("cuda", 0)
REASON = (
    why_not_triton(GPU, torch.bfloat16, 64) if torch.cuda.is_available() else "needs a CUDA GPU"
)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

#: Largest relative error of anything, second derivatives included.
TOLERANCES = {torch.bfloat16: 1.5e-2, torch.float16: 2e-3, torch.float32: 4e-3}


def check(case: Case, dtype: torch.dtype, moving: bool, tolerance: float | None = None) -> None:
    problem = case.problem(GPU, dtype)
    wide = (None if x is None else x.double() for x in problem[:5])
    want = derivatives(reference, Problem(*wide, problem.limits), moving)
    got = derivatives(attend, problem, moving)
    assert_close(got, want, tolerance or TOLERANCES[dtype])
    again = derivatives(attend, problem, moving)
    assert all(torch.equal(got[name], again[name]) for name in got), "not deterministic"


@pytest.mark.parametrize("head_size", [16, 32, 64, 96, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_thinking_step(dtype: torch.dtype, head_size: int) -> None:
    torch.set_float32_matmul_precision("high")
    check(Case(head_size=head_size, asked=213, keys=213), dtype, False)


@pytest.mark.parametrize("head_size", [32, 64, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_every_row_sees_every_row(dtype: torch.dtype, head_size: int) -> None:
    torch.set_float32_matmul_precision("high")
    check(Case(head_size=head_size, limited=False, asked=197, keys=197), dtype, True)


@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize(
    "case",
    [
        Case(head_size=64, asked=1, keys=1),
        Case(head_size=64, asked=256, keys=256, candidates=3, heads=4, kv_heads=2),
        Case(head_size=64, asked=77, keys=150, shuffled=True, padded=True, lead=1, kv_heads=1),
        Case(head_size=64, asked=131, keys=131, padded=True, candidates=2),
        Case(head_size=64, asked=1, keys=301, shuffled=True, candidates=16),
    ],
    ids=str,
)
def test_context_forms(case: Case, moving: bool) -> None:
    check(case, torch.bfloat16, moving)


def test_more_keys_than_rows_without_limits() -> None:
    case = Case(head_size=64, limited=False, asked=65, keys=190, heads=4, kv_heads=2)
    check(case, torch.bfloat16, True)


def test_highest_precision_is_that_of_fp32() -> None:
    torch.set_float32_matmul_precision("highest")
    try:
        check(Case(head_size=64, asked=100, keys=100), torch.float32, True, 2e-5)
    finally:
        torch.set_float32_matmul_precision("high")


def test_long_context() -> None:
    check(
        Case(head_size=64, asked=2050, keys=2050, batch=1, heads=1, kv_heads=1),
        torch.bfloat16,
        False,
    )
