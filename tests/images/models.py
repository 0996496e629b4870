"""A small energy model of images, and problems for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from argmind.config import part_config
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.predictors.ebt import EBT
from argmind.thinking.thinker import ThinkingConfig

CHANNELS, SIDE, CLASSES, BATCH = 1, 4, 3, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ebt(
    space: dict[str, Any] | None = None,
    *,
    thinking: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
) -> EBT:
    """In float64, starting from what is given, with a step size of 1."""
    dims = BidirectionalConfig(num_layers=2, num_heads=2, hidden_dim=16)
    config = part_config(
        "predictor",
        "ebt",
        space=part_config("space", "image", **{"patch": 2, **(space or {})}),
        body=part_config("body", "bidirectional", **{"transformer": dims, **(body or {})}),
    )
    plain: dict[str, Any] = {"steps": 2, "start": "given", **(thinking or {})}
    settings = ThinkingConfig(**plain)
    said = {"image_size": SIDE, "channels": CHANNELS, "classes": CLASSES, **(inputs or {})}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return config.build(settings, **said).double()


def batch(count: int = BATCH, seed: int = 0, noise: float = 0.3) -> dict[str, Tensor]:
    """Pictures of one bright corner each, noisy, half of their pixels known."""
    generator = seeded(seed)
    corner = torch.randint(4, (count,), generator=generator)
    clean = torch.full((count, CHANNELS, SIDE, SIDE), -0.8, dtype=torch.float64)
    for row, place in zip(clean, corner.tolist(), strict=True):
        top, left = 2 * (place // 2), 2 * (place % 2)
        row[:, top : top + 2, left : left + 2] = 0.8
    noisy = clean + noise * torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
    known = torch.rand((count, 1, SIDE, SIDE), generator=generator) < 0.5
    return {
        "clean": clean,
        "given": torch.where(known, clean, noisy),
        "known": known,
        "level": torch.full((count,), noise, dtype=torch.float64),
        "label": corner % CLASSES,
    }
