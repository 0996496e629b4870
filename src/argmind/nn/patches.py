"""Images as rows of patches, with fixed positions in two dimensions.

Shapes: images (..., C, H, W) with square H = W = side; L = (side / patch)² patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def patchify(images: Tensor, patch: int) -> Tensor:
    """(..., C, H, W) → (..., L, C · patch²), row by row."""
    rows = images.unflatten(-1, (-1, patch)).unflatten(-3, (-1, patch))  # ..., C, h, p, w, q
    lead = rows.ndim - 5
    order = (*range(lead), lead + 1, lead + 3, lead, lead + 2, lead + 4)
    return rows.permute(order).flatten(-3).flatten(-3, -2)


def unpatchify(patches: Tensor, patch: int, channels: int) -> Tensor:
    """(..., L, C · patch²) → (..., C, H, W)."""
    side = round(patches.shape[-2] ** 0.5)
    rows = patches.unflatten(-1, (channels, patch, patch)).unflatten(-4, (side, side))
    lead = rows.ndim - 5  # ..., h, w, C, p, q
    order = (*range(lead), lead + 2, lead, lead + 3, lead + 1, lead + 4)
    return rows.permute(order).flatten(-2).flatten(-3, -2)


def positions_2d(side: int, dim: int) -> Tensor:
    """Fixed sines and cosines (side², dim): half of them of the row, half of the column.

    Source: He et al. 2022 (MAE), as in DiT.
    """
    if dim % 4:
        raise ValueError(f"positions in two dimensions need a width in fours, got {dim}")
    omega = 10_000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * omega
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


class PatchEmbedding(nn.Module):
    """``W patch + b``, plus the patch's position: (..., C, H, W) → (..., L, dim)."""

    positions: Tensor

    def __init__(self, side: int, patch: int, channels: int, dim: int) -> None:
        super().__init__()
        if side % patch:
            raise ValueError(
                f"images of {side}×{side} pixels do not divide into patches of {patch}"
            )
        self.patch = patch
        self.linear = nn.Linear(channels * patch**2, dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        wanted = self.linear.weight.dtype
        positions = positions_2d(side // patch, dim).to(wanted)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Rows of patches."""
        return self.linear(patchify(images, self.patch)) + self.positions
