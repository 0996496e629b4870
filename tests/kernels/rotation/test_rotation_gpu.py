"""The rotation kernel on a GPU, and that it is what compiled attention runs there."""

from __future__ import annotations

import pytest
import torch
from rotation_cases import assert_kernel_agrees
from torch.profiler import ProfilerActivity, profile

from argmind.nn.attention.auto import AutoAttention
from argmind.nn.position import rotation
from argmind.nn.self_attention import SelfAttention

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def test_the_kernel_turns_as_the_plain_form_does() -> None:
    from argmind.kernels.rotation import triton_turn

    assert_kernel_agrees(triton_turn, "cuda")


def test_compiled_attention_runs_it() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(64, 2, 2, AutoAttention(AutoAttention.Config()), False).cuda()
    turn = rotation(torch.arange(16, device="cuda")[None], 32, 100.0, torch.float32)
    x = torch.randn(2, 16, 64, device="cuda", requires_grad=True)

    def attended(x: torch.Tensor) -> torch.Tensor:
        return attention.context(*attention.read(x, turn), None).sin().sum()

    compiled = torch.compile(attended, fullgraph=True)
    torch.autograd.grad(compiled(x), x)
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        (found,) = torch.autograd.grad(compiled(x), x)
    assert "_turn" in {event.name for event in trace.events()}
    (wanted,) = torch.autograd.grad(attended(x), x)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
