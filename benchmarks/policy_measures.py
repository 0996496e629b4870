"""What a trained policy of ``policy_results.py`` is asked in its environment."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from argmind.errors import UserError
from argmind.eval.curves import seconds_at
from argmind.policy.corruption import state_noise
from argmind.policy.environments import Environment, make
from argmind.policy.gauge import Reading, Window, detect, failure_auroc, recovery
from argmind.policy.policy import Policy
from argmind.policy.rollout import Rollout, rollouts
from argmind.quickstart.policy_ways import WAYS, Kind, Way, ms_per_action, quick_way
from jobs import Row
from policy_runs import checkpoints
from policy_tasks import KINDS, TASKS, task_of

FIRST_SEED = 100_000
#: Plans that say whether something is strange: all episodes have so many.
_WINDOW = 3


class Acting:
    """One trained policy in the episodes that all have."""

    def __init__(
        self,
        name: str,
        seed: int,
        folder: Path,
        settings: Mapping[str, Any],
        arguments: argparse.Namespace,
    ) -> None:
        """``settings``: of the environment that it was taught in."""
        task, model = task_of(name)
        self.settings = settings
        self.task, self.kind, self.folder = TASKS[task], KINDS[model], folder
        self.arguments, self.seed = arguments, seed
        self.policy = self._load("last")

    def measure(self) -> Row:
        """Everything."""
        usual = {way.key: self._roll(self.policy, way) for way in self._ways()}
        return {
            "ways": {key: _plain(episodes) for key, episodes in usual.items()},
            "by_training": self._by_training() if self.arguments.curve_episodes else [],
            "gauge": self._gauge() if self.arguments.samples else {},
        }

    def _load(self, which: Any) -> Policy:
        return Policy.load(self.folder, which=which, seed=self.seed)

    def _ways(self) -> list[Way]:
        asked = self.arguments.ways
        return [way for way in WAYS if way.kind == self.kind and way.key in asked]

    def _roll(
        self, policy: Policy, way: Way, episodes: int | None = None, **settings: Any
    ) -> list[Rollout]:
        count = self.arguments.episodes if episodes is None else episodes
        seeds = range(FIRST_SEED, FIRST_SEED + count)
        return rollouts(policy, self._environment, seeds, way.of(policy), **settings)

    def _environment(self) -> Environment:
        return make(self.task.environment, **self.settings)

    def _by_training(self) -> list[Row]:
        """Success at every checkpoint, on the first episodes."""
        steps = checkpoints(self.folder)
        seconds = seconds_at(self.folder, np.array(steps))
        way = quick_way(self.kind)
        found: list[Row] = []
        for step, after_s in zip(steps, seconds, strict=True):
            episodes = self._roll(self._load(step), way, self.arguments.curve_episodes)
            scores = [one.score for one in episodes]
            success = float(np.mean([one.success for one in episodes]))
            found.append(
                {
                    "step": step,
                    "training_s": float(after_s),
                    "success": success,
                    "score": float(np.mean(scores)),
                }
            )
        return found

    def _gauge(self) -> Row:
        """Is a strange observation noticed, and is a disturbance overcome?

        Energy models read energies; others read how far samples lie apart, if they draw any.
        """
        way = quick_way(self.kind)
        draws = self.kind == "dp"
        samples = {"samples": self.arguments.samples} if draws else {}
        readings: Sequence[Reading] = ("spread",) if draws else ("energy", "start", "drop")
        usual = self._roll(self.policy, way, **samples)
        found: Row = {"way": way.key}
        if self.kind != "bc":
            noise = state_noise(self.policy, self.arguments.noise_std)
            strange = self._roll(self.policy, way, corrupt=noise, **samples)
            found["noise"] = _detected(usual, strange, readings, Window(count=_WINDOW))
            chance = failure_auroc(usual, readings[0], Window(count=_WINDOW))
            found["failure_auroc"] = chance.value
        hit_at = self.task.perturb_at
        try:
            hit = self._roll(self.policy, way, perturb_at=hit_at, **samples)
        except UserError:  # there is nothing that a hand could move
            return found
        found |= _recovered(hit)
        if self.kind != "bc":
            window = Window(step=hit_at, count=2)
            found["perturbed"] = _detected(usual, hit, readings, window)
        return found


def _plain(episodes: Sequence[Rollout]) -> Row:
    plans = [plan for one in episodes for plan in one.plans]
    actions = max(1, sum(one.steps for one in episodes))
    return {
        "scores": [round(one.score, 4) for one in episodes],
        "success": [int(one.success) for one in episodes],
        "routes": [one.route if one.success else "" for one in episodes],
        "nfe": float(np.mean([plan.nfe for plan in plans])),
        "batched_ms_per_action": sum(plan.ms for plan in plans) / actions,
        "diverged": sum(one.diverged for one in episodes),
        "energy_start": float(np.mean([plan.energy_start for plan in plans])),
        "energy": float(np.mean([plan.energy for plan in plans])),
    }


def _detected(
    usual: Sequence[Rollout],
    strange: Sequence[Rollout],
    readings: Sequence[Reading],
    window: Window,
) -> Row:
    try:
        found = detect(usual, strange, readings, window)
    except UserError:  # no plan within the window
        return {"auroc": math.nan, "formula": ""}
    return {"auroc": found.auroc.value, "formula": found.alarm.formula}


def _recovered(hit: Sequence[Rollout]) -> Row:
    try:
        return {"recovery": asdict(recovery(hit))}
    except UserError:  # all were over before
        return {}


# ---------------------------------------------------------------------- time


def timed(folders: dict[Kind, Path], devices: Sequence[str]) -> Row:
    """Milliseconds of planning per action, one problem at a time, by device and way."""
    import torch

    found: Row = {"threads": torch.get_num_threads(), "ms": {}}
    for device in devices:
        policies = {
            kind: Policy.load(folder, which="last", device=device)
            for kind, folder in folders.items()
        }
        found["ms"][device] = {
            way.key: ms_per_action(policies[way.kind], way) for way in WAYS if way.kind in policies
        }
    return found
