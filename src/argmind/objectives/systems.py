"""The paper's two ways of learning through thinking.

Source: Energy-Based Transformers, section 3 (System 1) and 3.3 (System 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from argmind.objectives.thinking import ThinkingObjective
from argmind.registry import register
from argmind.thinking.think import Through


@register("objective", "s1")
class SystemOne(ThinkingObjective):
    """Published System 1: candidates detached between steps, loss after each step."""

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        through: Through = "none"
        loss_on: Literal["all", "last"] = "all"


@register("objective", "s2")
class SystemTwo(ThinkingObjective):
    """Published System 2: only the last step keeps its graph, loss on it; 2–3 steps; replay."""

    @dataclass(frozen=True, kw_only=True)
    class Config(ThinkingObjective.Config):
        through: Through = "last"
        fewest_steps: int | None = 2
        replay_samples: int = 192
