"""Tiny next-frame models in float64, and clips for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from argmind.config import part_config
from argmind.nn.transformer import TransformerConfig
from argmind.objectives.base import Objective
from argmind.predictors.base import Predictor
from argmind.thinking.thinker import ThinkingConfig
from rivals.pictures import disturb

BATCH, FRAMES, CHANNELS, SIDE, ACTIONS = 3, 5, 2, 8, 2
LENGTH = FRAMES - 1
TINY = TransformerConfig(num_layers=2, num_heads=2, hidden_dim=8)
MODELS = ("ebt", "frame_regression", "frame_diffusion")
OBJECTIVES = {
    "thinking": "ebt",
    "score": "ebt",
    "equilibrium": "ebt",
    "next_frame": "frame_regression",
    "frame_diffusion": "frame_diffusion",
}


def build(
    name: str,
    actions: int = ACTIONS,
    start: Any = "amortised",
    *,
    shared: bool = True,
    level: bool = True,
    **options: Any,
) -> Predictor:
    """A predictor with no weight left at zero.

    ``shared``: start and head read hidden states alike, frames and changes are embedded alike.
    """
    inputs = {"image_size": SIDE, "channels": CHANNELS, "frames": FRAMES, "actions": actions}
    if name == "ebt":
        guesses = start == "amortised"
        readout = "guess" if shared and guesses else "own"
        head = part_config("head", "quadratic", reduction="mean", readout=readout)
        body = part_config("body", "two_stream", transformer=TINY, head=head, level=level)
        options = {"candidate_embedding": "context" if shared else "own", **options}
        space = part_config("space", "frames", guesses=guesses, **options)
        config = part_config("predictor", "ebt", space=space, body=body)
    else:
        config = part_config("predictor", name, transformer=TINY, **options)
    schedule = part_config("schedule", "constant", size=0.1)
    thinking = ThinkingConfig(steps=2, start=start, schedule=schedule, start_noise_std=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = config.build(thinking, **inputs).double().eval()
    disturb(model)
    return model


def build_objective(name: str, **options: Any) -> Objective[Any]:
    start = "noise" if name in ("score", "equilibrium") else "amortised"
    teaches = name == "thinking"  # what no other objective does
    model = build(OBJECTIVES[name], start=start, level=teaches)
    options = {**({"energy_weight": 0.5, "start_weight": 1.0} if teaches else {}), **options}
    return part_config("objective", name, **options).build(model)


def clips(batch: int = BATCH, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, FRAMES, CHANNELS, SIDE, SIDE)
    return {
        "frames": 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1,
        "actions": torch.randn(batch, FRAMES, ACTIONS, generator=generator, dtype=torch.float64),
        "random": torch.zeros(batch, FRAMES, dtype=torch.bool),
    }


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
