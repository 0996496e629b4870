"""Tiny policies without an energy, and what they are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from argmind.config import from_dict
from argmind.registry import find
from argmind.thinking.thinker import ThinkingConfig

ACTION, CHUNK, FRAMES, STATE = 2, 5, 2, 3
INPUTS = {
    "action_size": ACTION,
    "chunk": CHUNK,
    "frames": FRAMES,
    "observations": {"state": [STATE], "image": [3, 16, 16]},
}
TINY = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}


def rival(name: str, inputs: dict[str, Any] | None = None, seed: int = 0, **options: Any) -> Any:
    """A policy with fresh weights."""
    plain = {"transformer": TINY, **options}
    config = from_dict(find("predictor", name).Config, plain)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return config.build(ThinkingConfig(), **(INPUTS if inputs is None else inputs))


def disturbed(model: Any, seed: int = 0) -> Any:
    """No weight is left so small that it hides what it does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return model


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 3, seed: int = 1) -> dict[str, Tensor]:
    generator = seeded(seed)
    return {
        "state": torch.randn((count, FRAMES, STATE), generator=generator),
        "image": 2 * torch.rand((count, FRAMES, 3, 16, 16), generator=generator) - 1,
        "actions": 2 * torch.rand((count, CHUNK, ACTION), generator=generator) - 1,
    }


def reach(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Does output row l (B, L, A) depend on row s of ``x`` (B, S, …)? bool (L, S)."""
    x = x.clone().requires_grad_()
    output = function(x)
    rows = [
        torch.autograd.grad(output[:, row].sum(), x, retain_graph=True)[0]
        for row in range(output.shape[1])
    ]
    return torch.stack([row.abs().flatten(2).sum((0, 2)) > 0 for row in rows])


def learn(objective: Any, make: Callable[[int], dict[str, Tensor]], steps: int) -> None:
    """A short training."""
    objective.train()
    optimizer = torch.optim.AdamW(objective.predictor.parameters())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * min((step + 1) / 30, 1 - step / steps)
        optimizer.zero_grad()
        objective(make(step), seeded(step)).value.backward()
        optimizer.step()
    objective.eval()


def two_ways(step: int, count: int = 64) -> dict[str, Tensor]:
    """All actions of a chunk are 0.7, or all are -0.7; nothing observed tells which."""
    generator = seeded(1000 + step)
    way = torch.rand((count, 1, 1), generator=generator).round() * 1.4 - 0.7
    return {
        "state": torch.randn((count, FRAMES, STATE), generator=generator),
        "actions": way.expand(count, CHUNK, ACTION),
    }
