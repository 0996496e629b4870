"""What a picture is asked for, as one vector: its class, its noise level or time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LabelEmbedding(nn.Module):
    """A learned vector per class, and one for "any class" (label −1)."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.classes = classes
        self.table = nn.Embedding(classes + 1, dim)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, label: Tensor) -> Tensor:
        """(B,) int64 → (B, dim)."""
        return self.table(torch.where(label < 0, self.classes, label))


class LevelEmbedding(nn.Module):
    """Sines and cosines of a number, through a small network.

    ``scale`` brings the number to the range of about 0 … 1000 that its ``features`` frequencies
    tell apart. Source: Nichol & Dhariwal 2021 (ADM) and Peebles & Xie 2023 (DiT).
    """

    def __init__(self, dim: int, scale: float = 1000.0, features: int = 256) -> None:
        super().__init__()
        self.scale, self.features = scale, features
        self.w1 = nn.Linear(features, dim)
        self.w2 = nn.Linear(dim, dim)
        for layer in (self.w1, self.w2):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, level: Tensor) -> Tensor:
        """(B,) → (B, dim)."""
        half = self.features // 2
        wide = torch.promote_types(self.w1.weight.dtype, torch.float32)
        exponents = torch.arange(half, device=level.device, dtype=wide) / half
        angles = self.scale * level.to(wide)[:, None] * (-math.log(10_000.0) * exponents).exp()
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return self.w2(F.silu(self.w1(waves.to(self.w1.weight.dtype))))
