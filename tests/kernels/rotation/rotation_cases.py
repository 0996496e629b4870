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
    """Rows that lie apart, two and three parts, turned either way; each way, of each type."""
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float16, 1e-3)):
        for problems, heads, back in ((1, HEADS, False), (2, HEADS, True), (2, HEADS[1:], False)):
            rows, turn = drawn(problems)
            exact = [x.float().double() for x in turn]
            table = [x.to(device, torch.float32) for x in turn]
            width = sum(heads) * SIZE
            wide = rows.to(device, dtype)[..., :width]
            how = (len(heads) - 1, back)
            found, wanted = _parts(wide, heads), _parts(wide.double().cpu(), heads)
            fast.apart(wide, found, *table, *how)
            plain.apart(wide.double().cpu(), wanted, *exact, *how)
            for x, y in zip(found, wanted, strict=True):
                torch.testing.assert_close(x.double().cpu(), y, rtol=tolerance, atol=tolerance)
            again = torch.full_like(rows, 7.0).to(device, dtype)
            truth = torch.full_like(rows, 7.0)
            fast.together(again[..., :width], found, *table, *how)
            given = [x.double().cpu() for x in found]
            plain.together(truth[..., :width], given, *exact, *how)
            torch.testing.assert_close(again.double().cpu(), truth, rtol=tolerance, atol=tolerance)


def _parts(rows: Tensor, heads: tuple[int, ...]) -> list[Tensor]:
    return [rows.new_empty(*rows.shape[:2], count * SIZE) for count in heads]
