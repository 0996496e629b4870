"""Energies are statistics: float32 at least, whatever the type of matrix products."""

from __future__ import annotations

import pytest
import torch

from argmind.config import part_config


@pytest.mark.parametrize("name", ["linear", "bilinear", "quadratic"])
def test_energies_are_wide_under_autocast(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    head = part_config("head", name).build(64, 64)
    h, pair = (torch.randn(3, 5, 64, generator=generator) for _ in range(2))
    with torch.no_grad():
        for weight in head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    exact = head(h, pair)
    with torch.autocast("cpu", torch.bfloat16):
        energy = head(h, pair)
        narrow = head(h.bfloat16(), pair.bfloat16())
    assert energy.dtype == narrow.dtype == torch.float32
    rounding = 1e-6 if name == "linear" else 0.02
    torch.testing.assert_close(energy, exact, rtol=rounding, atol=rounding * 64)
