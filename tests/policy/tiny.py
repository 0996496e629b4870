"""Policies that have learnt nothing, for the ``point`` environment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from argmind.config import from_dict
from argmind.data.normaliser import Normaliser
from argmind.policy.environments import make
from argmind.policy.policy import Policy
from argmind.predictors.base import Prediction, Predictor, Trace
from argmind.predictors.ebt import EBT
from argmind.randomness import Randomness, normal
from argmind.registry import find
from argmind.runs import LoadedRun
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig

STATE = 8
INPUTS = {"action_size": 2, "chunk": 16, "frames": 2, "observations": {"state": [STATE]}}
PICTURED = {**INPUTS, "observations": {"state": [STATE], "image": [3, 16, 16]}}


def normaliser() -> Normaliser:
    """Onto ±1 from ±2 (state) and ±0.5 (actions)."""
    ends = np.array([[-1.0], [1.0]], np.float32)
    rows = {"state": 2 * ends.repeat(STATE, 1), "actions": 0.5 * ends.repeat(2, 1)}
    return Normaliser.fit("min_max", rows)


def policy_of(predictor: Predictor, inputs: Mapping[str, Any] = INPUTS, **settings: Any) -> Policy:
    """A policy around any predictor."""
    recipe: Any = SimpleNamespace(data=SimpleNamespace(part_name="demonstrations", execute=8))
    run = LoadedRun(Path("nowhere"), recipe, inputs, predictor.eval().requires_grad_(False), 0)
    return Policy(run, normaliser(), **settings)


def ebt(inputs: Mapping[str, Any] = INPUTS, size: float = 1.0, **thinking: Any) -> EBT:
    """An energy model of two layers of width 16."""
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}
    plain = {"space": {"kind": "actions"}, "body": {"kind": "policy", "transformer": sizes}}
    schedule = {"kind": "constant", "size": size}
    config = from_dict(
        ThinkingConfig, {"start": "noise", "steps": 2, "schedule": schedule, **thinking}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return from_dict(EBT.Config, plain).build(config, **inputs)


def rival(name: str, **settings: Any) -> Predictor:
    """``diffusion_policy`` of 10 steps or ``policy_regression``, of the same size."""
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}
    config = from_dict(find("predictor", name).Config, {"transformer": sizes, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return config.build(ThinkingConfig(), **INPUTS)


def models() -> dict[str, Predictor]:
    """One of every kind."""
    return {
        "ebt": ebt(),
        "diffusion": rival("diffusion_policy", steps=10),
        "regression": rival("policy_regression"),
    }


class Stand(Predictor):
    """Answers with what it was shown: the oldest frame's state first, then the latest's.

    Every row of a chunk holds two numbers: (number of the action, its first state entry plus a
    draw). ``energy`` is what the second entry of the latest state says.
    """

    thinks = True

    def __init__(self, step_s: float = 0.0, noise: float = 0.0, nan_above: float = 1e9) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.step_s, self.noise, self.nan_above = step_s, noise, nan_above
        self.asked: list[Budget] = []
        self.rows: list[int] = []

    @property
    def trained_steps(self) -> int:
        """As a sampler that has many."""
        return 20

    def encode(self, context: Any, first: Any = None, last_only: bool = False) -> Any:  # noqa: ARG002
        """The problem itself."""
        return context

    def predict_from(
        self, state: dict[str, Tensor], budget: Budget, generator: Randomness = None
    ) -> Prediction:
        """Take the time of the steps asked for."""
        self.asked.append(budget)
        seen = state["state"]
        self.rows.append(len(seen))
        steps = self.trained_steps if budget.steps is None else budget.steps
        time.sleep(self.step_s * steps)
        number = torch.arange(16.0).expand(len(seen), 16)
        drawn = self.noise * normal((len(seen), 16), seen, generator)
        told = seen[:, -1:, 0] + drawn
        output = torch.stack([number / 16, told], -1)
        output[:, 0, 1] = seen[:, 0, 0]
        energy = seen[:, -1, 1]
        output[energy > self.nan_above] = torch.nan
        count = torch.full((len(seen),), steps)
        return Prediction(
            output=output,
            candidate=output,
            energy=energy,
            steps=count,
            nfe=count * budget.candidates,
            diverged=energy > self.nan_above,
            trace=Trace([output, output], [energy + 1, energy]) if budget.trace else None,
        )


def point(**settings: Any) -> Any:
    """The built-in environment, cut short."""
    return make("point", **{"max_steps": 20, **settings})
