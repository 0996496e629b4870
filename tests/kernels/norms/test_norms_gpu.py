"""The Triton kernels of normalisation on a GPU, and that they are what runs there."""

from __future__ import annotations

import pytest
import torch
from norm_cases import assert_kernels_agree

from argmind.kernels.norms import rows
from argmind.nn.written_out import normed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def test_kernels_compute_what_the_plain_form_does() -> None:
    fast = rows.kernels(torch.ones(2, 4, device="cuda"))
    assert fast is not None
    assert_kernels_agree(fast, "cuda", 2e-5)


def test_double_precision_and_long_rows_are_left_to_the_plain_form() -> None:
    assert rows.kernels(torch.ones(2, 4, device="cuda", dtype=torch.float64)) is None
    assert rows.kernels(torch.ones(1, rows.LONGEST_ROW + 1, device="cuda")) is None


def test_tensors_without_memory_are_left_to_the_plain_form() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        assert rows.kernels(torch.ones(2, 4, device="cuda")) is None


@pytest.mark.parametrize("centred", [False, True])
def test_three_derivatives_as_in_double_precision(centred: bool) -> None:
    def third(dtype: torch.dtype) -> torch.Tensor:
        x = torch.linspace(-1, 2, 4 * 48).view(4, 48).to("cuda", dtype).requires_grad_()
        value = normed(x, 1e-3, centred).sin().sum()
        for _ in range(2):
            (slope,) = torch.autograd.grad(value, x, create_graph=True)
            value = slope.sin().sum()
        return torch.autograd.grad(value, x)[0].double()

    torch.testing.assert_close(third(torch.float32), third(torch.float64), rtol=1e-3, atol=1e-4)
