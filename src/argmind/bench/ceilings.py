"""What a device can do at best: its rate of matrix products and its bandwidth."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from argmind.bench.timing import timed

_PRODUCTS = 8


@dataclass(frozen=True)
class Ceilings:
    """FLOP/s of a large matrix product and bytes/s of a large copy (read and written)."""

    flops_per_s: float
    bytes_per_s: float

    def flop_floor_ms(self, flops: float) -> float:
        """The time that no implementation of so many FLOPs beats."""
        return 1e3 * flops / self.flops_per_s

    def byte_floor_ms(self, moved_bytes: float) -> float:
        """The time that no implementation that moves so many bytes beats."""
        return 1e3 * moved_bytes / self.bytes_per_s


def measured(device: torch.device, precision: str) -> Ceilings:
    """Both measured now: the best of a few tries on random numbers, which no product is fast for.

    A GPU multiplies 8192 × 8192 matrices and copies 1 GiB, a CPU 1024 × 1024 and 64 MiB.
    """
    big = device.type == "cuda"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    generator = torch.Generator(device).manual_seed(0)
    side = 8192 if big else 1024
    a, b = (
        torch.randn(side, side, device=device, dtype=dtype, generator=generator) for _ in range(2)
    )
    out = torch.empty_like(a)
    product_ms = _best(lambda: torch.mm(a, b, out=out), device)
    source = torch.randn((256 if big else 16) << 20, device=device, generator=generator)
    target = torch.empty_like(source)
    copy_ms = _best(lambda: target.copy_(source), device)
    moved = 2 * source.numel() * source.element_size()
    return Ceilings(2 * side**3 / (product_ms * 1e-3), moved / (copy_ms * 1e-3))


def _best(work: object, device: torch.device) -> float:
    assert callable(work)
    timed(work, device)

    def several() -> None:
        for _ in range(_PRODUCTS):
            work()

    return min(timed(several, device) for _ in range(3)) / _PRODUCTS
