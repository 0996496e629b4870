"""Rows of queries, keys and values: grouped heads, one table of positions or one a problem."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from argmind.kernels.rotation import plain
from argmind.nn.position import Rotation, rotate, rotation

#: Query, key and value heads.
HEADS, SIZE, LENGTH = (4, 2, 2), 6, 5


def drawn(problems: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Rotation]:
    """Rows (2, S, W), and positions of ``problems`` problems that start at different places."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, LENGTH, sum(HEADS) * SIZE, generator=generator, dtype=dtype)
    positions = torch.arange(LENGTH) + 3 * torch.arange(problems)[:, None]
    return rows, rotation(positions, SIZE, 100.0, dtype)


def part_by_part(rows: Tensor, turn: Rotation, heads: tuple[int, ...]) -> tuple[Tensor, ...]:
    """The same, each part by itself."""
    size = rows.shape[-1] // sum(heads)
    parts = rows.split([count * size for count in heads], dim=-1)
    apart = [x.unflatten(-1, (-1, size)).transpose(1, 2) for x in parts]
    return (*(rotate(x, turn) for x in apart[:-1]), apart[-1])


def assert_kernel_agrees(fast: ModuleType, device: str) -> None:
    """Rows that lie apart, turned either way or as they are, of each type."""
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float16, 1e-3)):
        for problems in (1, 2):
            rows, turn = drawn(problems)
            wide = rows.to(device, dtype)
            turn = Rotation(*(x.to(device, torch.float32) for x in turn))
            for turns, back in ((True, False), (True, True), (False, False)):
                source = wide[..., SIZE : 3 * SIZE]
                found = torch.full_like(wide, 7.0)
                fast.turn(source, *turn, found[..., SIZE : 3 * SIZE], turns=turns, back=back)
                wanted = torch.full_like(wide, 7.0, dtype=torch.float64)
                exact = [x.double() for x in turn]
                plain.turn(
                    source.double(), *exact, wanted[..., SIZE : 3 * SIZE], turns=turns, back=back
                )
                torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)
