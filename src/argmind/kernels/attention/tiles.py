"""Block sizes of the kernels, measured once on an H200; nothing is tuned while a user waits."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

#: Heads that the kernels serve have a multiple of STEP elements, at most LARGEST.
HEAD_SIZE_STEP, LARGEST_HEAD_SIZE = 8, 128


class Tile(NamedTuple):
    """BM rows by BN keys, warps of a program, and stages of loads in flight."""

    BM: int
    BN: int
    warps: int
    stages: int


#: For 16-bit operands and 227 KiB of shared memory, by kernel and the largest head size served;
#: ``_moving`` where keys and values have tangents of their own.
TILES: dict[str, dict[int, Tile]] = {
    "forward_rows": {64: Tile(64, 64, 4, 3), 128: Tile(128, 64, 8, 3)},
    "inner_rows": {64: Tile(64, 64, 4, 3), 128: Tile(128, 64, 8, 3)},
    "tangent_rows": {64: Tile(64, 64, 4, 3), 128: Tile(128, 64, 8, 3)},
    "tangent_rows_moving": {64: Tile(64, 64, 4, 3), 128: Tile(64, 32, 4, 2)},
    "adjoint_rows": {64: Tile(64, 64, 4, 3), 128: Tile(128, 64, 8, 3)},
    "adjoint_rows_moving": {64: Tile(64, 64, 4, 2), 128: Tile(64, 32, 4, 2)},
    "inner_columns": {64: Tile(64, 64, 4, 3), 128: Tile(64, 64, 4, 2)},
    "adjoint_columns": {64: Tile(64, 64, 4, 2), 128: Tile(32, 64, 4, 2)},
    "adjoint_columns_moving": {64: Tile(64, 64, 4, 2), 128: Tile(32, 64, 4, 2)},
}

#: Fits wherever tensor cores are: 99 KiB of shared memory, or operands of 32 bits.
SMALL = {64: Tile(32, 32, 4, 2), 128: Tile(32, 32, 4, 1)}
_NEEDED_BYTES = 200 * 1024


def block_width(head_size: int) -> int:
    """Width of the blocks that hold a head: a power of two, at least what tensor cores take."""
    return max(16, 1 << (head_size - 1).bit_length())


def tile_of(kernel: str, head_size: int, item_bytes: int, device: torch.device) -> Tile:
    """The tile for a kernel, by its name."""
    large = item_bytes == 2 and _shared_memory_bytes(device) >= _NEEDED_BYTES
    table = TILES[kernel] if large else SMALL
    return table[64 if head_size <= 64 else 128]


@lru_cache
def _shared_memory_bytes(device: torch.device) -> int:
    if device.type != "cuda":  # Triton's interpreter
        return 0
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin
