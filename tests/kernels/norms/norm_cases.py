"""Rows of many lengths, centred and not, by kernels and by the plain forms."""

from __future__ import annotations

from types import ModuleType

import torch

from argmind.kernels.norms import rows

SHAPES = ((3, 5, 32), (7, 96), (1, 1), (2, 2500))
EPS = 1e-5


def assert_kernels_agree(fast: ModuleType, device: str, tolerance: float) -> None:
    """Value and both derivatives, of rows in memory as they are and turned about."""
    generator = torch.Generator().manual_seed(0)
    for shape in SHAPES:
        for turned in (False, True):
            drawn = [torch.randn(shape, generator=generator).to(device) + 0.5 for _ in range(3)]
            if turned:
                drawn = [x.mT.contiguous().mT for x in drawn]
            for centred in (False, True):
                found = (
                    fast.normed(drawn[2], EPS, centred),
                    fast.adjoint(*drawn[1:], EPS, centred),
                    *fast.second(*drawn, EPS, centred),
                )
                exact = [x.double().cpu() for x in drawn]
                wanted = (
                    rows.normed(exact[2], EPS, centred),
                    rows.adjoint(exact[1], exact[2], EPS, centred),
                    *rows.second(exact[0], exact[1], exact[2], EPS, centred),
                )
                for one, other in zip(found, wanted, strict=True):
                    close = {"rtol": tolerance, "atol": tolerance * float(other.abs().max() + 1)}
                    torch.testing.assert_close(one.double().cpu(), other, **close)
