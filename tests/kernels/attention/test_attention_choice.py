"""Which form of attention serves, and why."""

from __future__ import annotations

import pytest
import torch

from argmind.kernels.attention import choice
from argmind.kernels.attention.choice import report, serving, why_not_triton

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were a GPU with everything on it."""
    monkeypatch.setattr(choice, "_has_triton", lambda: True)
    monkeypatch.setattr(choice, "_capability", lambda _: (9, 0))


@pytest.mark.usefixtures("hopper")
def test_kernels_serve_on_a_gpu() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        assert serving((1, 1, 5, 64), 5, GPU, dtype).form == "kernels"
    assert set(report(GPU)) == {"bfloat16", "float16", "float32", "float64"}
    assert report(GPU)["bfloat16"] == "kernels"
    assert report(GPU)["float64"].startswith("reference (the kernels compute in bf16")


@pytest.mark.usefixtures("hopper")
@pytest.mark.parametrize(
    ("device", "dtype", "head_size", "reason"),
    [
        (CPU, torch.bfloat16, 64, "CUDA GPU"),
        (GPU, torch.float64, 64, "not in float64"),
        (GPU, torch.bfloat16, 132, "up to 128 elements, in multiples of 8, not 132"),
        (GPU, torch.bfloat16, 60, "multiples of 8, not 60"),
    ],
)
def test_why_kernels_do_not_serve(
    device: torch.device, dtype: torch.dtype, head_size: int, reason: str
) -> None:
    assert reason in (why_not_triton(device, dtype, head_size) or "")


@pytest.mark.usefixtures("hopper")
def test_why_kernels_do_not_serve_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_capability", lambda _: (7, 5))
    assert "8.0" in (why_not_triton(GPU, torch.float16, 64) or "")
    monkeypatch.setattr(choice, "_has_triton", lambda: False)
    assert "Triton is not installed" in (why_not_triton(GPU, torch.float16, 64) or "")


def test_scores_that_do_not_fit_are_computed_in_chunks() -> None:
    assert serving((2, 4, 64, 64), 64, CPU, torch.float32).form == "reference"
    form, why = serving((2, 4, 8192, 64), 8192, CPU, torch.float32)
    assert form == "chunks"
    assert "2,048 MiB" in why
