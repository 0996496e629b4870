"""The ways in which policies are asked for a plan, and what figures call them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from argmind.policy.policy import Policy
from argmind.thinking.budget import Budget

Kind = Literal["ebt", "dp", "bc"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of asking one kind of policy."""

    key: str  # in the names of figures
    kind: Kind
    words: str
    steps: int | None = None
    sampler: str = ""  # of those that have several

    def of(self, policy: Policy) -> Budget:
        """The budget to ask with; the policy is set to the sampler."""
        if self.sampler:
            policy.predictor.sampler = self.sampler
        return Budget(steps=self.steps)


def thinking(steps: int) -> Way:
    """An energy model's way of so many steps."""
    words = f"{steps} step{'' if steps == 1 else 's'}"
    return Way(key=f"ebt_{steps}", kind="ebt", words=words, steps=steps)


def sampling(sampler: str, steps: int) -> Way:
    """A diffusion model's way of so many steps of a sampler."""
    words = f"{sampler.upper()}, {steps} steps"
    return Way(key=f"{sampler}_{steps}", kind="dp", words=words, steps=steps, sampler=sampler)


#: What the published comparison has, and what lies between.
WAYS: tuple[Way, ...] = (
    *(thinking(steps) for steps in (1, 2, 4, 8, 20)),
    sampling("ddpm", 100),
    sampling("ddim", 10),
    sampling("ddim", 2),
    Way(key="bc", kind="bc", words="one pass"),
)


def ways_of(kind: Kind) -> list[Way]:
    """Those of one kind of policy."""
    return [way for way in WAYS if way.kind == kind]


def way_named(key: str) -> Way:
    """The way that figures call so."""
    return next(way for way in WAYS if way.key == key)


def quick_way(kind: Kind) -> Way:
    """The way to ask a kind of policy where it is asked often: cheap, and near its best."""
    return way_named({"ebt": "ebt_2", "dp": "ddim_10", "bc": "bc"}[kind])


def ms_per_action(policy: Policy, way: Way, repeats: int = 5) -> float:
    """Median time of a plan for one problem, for each action that it has executed.

    The answer's own energy is not asked for: acting does not need it.
    """
    budget = replace(way.of(policy), score=False)
    nothing = policy.nothing()
    times = [policy.plan(nothing, budget).ms for _ in range(1 + repeats)]
    return float(np.median(times[1:])) / policy.execute
