"""What a trained policy of ``policy_results.py`` is asked in its environment."""

from __future__ import annotations

import argparse
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from argmind.errors import UserError
from argmind.eval.curves import seconds_at
from argmind.policy.corruption import state_noise
from argmind.policy.environments.base import EnvironmentConfig, environment_config
from argmind.policy.gauge import Reading, Window, detect, failure_auroc, recovery
from argmind.policy.policy import Policy
from argmind.policy.rollout import Rollout, rollouts
from argmind.quickstart.policy_ways import WAYS, Kind, Way, ms_per_action, quick_way
from jobs import Row
from policy_runs import checkpoints
from policy_tasks import MODELS, TASKS, task_of

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
        self.task, self.kind, self.folder = TASKS[task], MODELS[model].kind, folder
        self.config = environment_config(self.task.environment, settings)
        longest = arguments.max_steps or self.config.max_steps
        self.config = replace(self.config, max_steps=min(self.config.max_steps, longest))
        self.arguments, self.seed = arguments, seed
        self.policy, self.way = self._load("last"), quick_way(self.kind)
        #: Steps of the plans that say whether an episode is strange, or was disturbed: those made
        #: at the step of the disturbance have not seen it.
        execute, after = self.policy.execute, self.task.perturb_at + 1
        self.early, self.late = range(_WINDOW * execute), range(after, after + 2 * execute)

    def measure(self) -> Row:
        """Everything."""
        asked = [way for way in WAYS if way.kind == self.kind and way.key in self.arguments.ways]
        usual = {way.key: self._roll(way) for way in asked if way != self.way}
        quick = self._roll(self.way, **self._samples({*self.early, *self.late}))
        usual |= {self.way.key: quick} if self.way in asked else {}
        return {
            "ways": {key: _plain(episodes) for key, episodes in usual.items()},
            "by_training": self._by_training(quick) if self.arguments.curve_episodes else [],
            "gauge": self._gauge(quick) if self.arguments.samples else {},
        }

    def _load(self, which: Any) -> Policy:
        return Policy.load(self.folder, which=which, seed=self.seed)

    def _roll(
        self,
        way: Way,
        episodes: int | None = None,
        *,
        policy: Policy | None = None,
        config: EnvironmentConfig | None = None,
        **settings: Any,
    ) -> list[Rollout]:
        policy, config = policy or self.policy, config or self.config
        count = self.arguments.episodes if episodes is None else episodes
        seeds = range(FIRST_SEED, FIRST_SEED + count)
        return rollouts(policy, config.build, seeds, way.of(policy), **settings)

    def _samples(self, steps: Container[int]) -> dict[str, Any]:
        """Settings for the spread of samples where there is no energy, beside plans that count."""
        if self.kind != "dp" or not self.arguments.samples:
            return {}
        return {"samples": self.arguments.samples, "samples_at": steps}

    def _by_training(self, last: Sequence[Rollout]) -> list[Row]:
        """Success at every checkpoint, on the first episodes; those of the last are known."""
        steps = checkpoints(self.folder)
        seconds = seconds_at(self.folder, np.array(steps))
        count = min(self.arguments.curve_episodes, len(last))
        found: list[Row] = []
        for step, after_s in zip(steps, seconds, strict=True):
            episodes = last[:count]
            if step != steps[-1]:
                episodes = self._roll(self.way, count, policy=self._load(step))
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

    def _gauge(self, usual: Sequence[Rollout]) -> Row:
        """Is a strange observation noticed, and is a disturbance overcome?

        Energy models read energies; others read how far samples lie apart, if they draw any.
        """
        usual = usual[: self.arguments.gauge_episodes]
        found: Row = {"way": self.way.key, "episodes": len(usual)}
        readings: Sequence[Reading] = ("energy", "start", "drop")
        readings = ("spread",) if self.kind == "dp" else readings
        if self.kind != "bc":
            window = Window(count=_WINDOW)
            found["noise"] = _detected(usual, self._strange(len(usual)), readings, window)
            found["failure_auroc"] = failure_auroc(usual, readings[0], window).value
        hit_at = self.task.perturb_at
        try:
            hit = self._roll(self.way, len(usual), perturb_at=hit_at, **self._samples(self.late))
        except UserError:  # there is nothing that a hand could move
            return found
        found |= _recovered(hit)
        if self.kind != "bc":
            window = Window(step=self.late.start, count=2)
            found["perturbed"] = _detected(usual, hit, readings, window)
        return found

    def _strange(self, count: int) -> list[Rollout]:
        """Episodes of noisy states, for as long as anything is read off them."""
        noise = state_noise(self.policy, self.arguments.noise_std)
        brief = replace(self.config, max_steps=min(self.config.max_steps, len(self.early)))
        samples = self._samples(self.early)
        return self._roll(self.way, count, config=brief, corrupt=noise, **samples)


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
