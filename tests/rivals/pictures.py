"""Tiny image models in float64, and problems for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from argmind.config import part_config
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.thinking.thinker import ThinkingConfig

CHANNELS, SIDE, CLASSES, BATCH = 2, 8, 3, 3
INPUTS = {"channels": CHANNELS, "image_size": SIDE, "classes": CLASSES}
TINY = BidirectionalConfig(num_layers=2, num_heads=2, hidden_dim=8)


def build(name: str, moved: bool = True, inputs: dict[str, int] = INPUTS, **options: Any) -> Any:
    """A predictor; ``moved``: no weight is left at zero."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = part_config("predictor", name, transformer=TINY, **options)
        model = config.build(ThinkingConfig(), **inputs).double().eval()
    if moved:
        disturb(model)
    return model


def disturb(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def clean(batch: int = BATCH) -> Tensor:
    return normal(batch, CHANNELS, SIDE, SIDE, seed=1).tanh()


def noisy(level: float = 0.5, batch: int = BATCH) -> dict[str, Tensor]:
    """A denoising problem."""
    given = clean(batch) + level * normal(batch, CHANNELS, SIDE, SIDE, seed=2)
    return {"given": given, "level": torch.full((batch,), level, dtype=torch.float64)}


def hidden(batch: int = BATCH) -> dict[str, Tensor]:
    """An inpainting problem: the right half is hidden."""
    known = (torch.arange(SIDE) < SIDE // 2).expand(batch, 1, SIDE, SIDE)
    return {"given": clean(batch) * known, "known": known}


def classes(*labels: int) -> dict[str, Tensor]:
    """A problem of generation."""
    return {"label": torch.tensor(labels)}


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
