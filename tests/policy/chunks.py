"""A tiny policy, and something for it to look at."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from argmind.config import part_config
from argmind.energy.policy import PolicyBody, PolicyConfig
from argmind.predictors.ebt import EBT
from argmind.thinking.thinker import ThinkingConfig

CHUNK, ACTION, FRAMES, STATE = 6, 2, 2, 3
INPUTS = {
    "action_size": ACTION,
    "chunk": CHUNK,
    "frames": FRAMES,
    "observations": {"state": (STATE,)},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def policy(
    seed: int = 0, dim: int = 16, layers: int = 1, space: Any = None, **thinking: Any
) -> EBT:
    """Small enough for a test of a few seconds."""
    dims = PolicyConfig(num_layers=layers, num_heads=2, hidden_dim=dim)
    body = part_config("body", "policy", transformer=dims, frame_layers=1)
    settings: dict[str, Any] = {"steps": 2, "start": "noise", **thinking}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        space = space or part_config("space", "actions")
        config = part_config("predictor", "ebt", space=space, body=body)
        return config.build(ThinkingConfig(**settings), **INPUTS)


def body_of(model: EBT) -> PolicyBody:
    """By its type."""
    assert isinstance(model.body, PolicyBody)
    return model.body


def demonstrations(count: int, source: torch.Generator) -> dict[str, Tensor]:
    """What was observed, and what followed."""
    return {
        "state": torch.randn(count, FRAMES, STATE, generator=source),
        "actions": 2 * torch.rand(count, CHUNK, ACTION, generator=source) - 1,
    }
