"""How long things take here: what a quickstart plans its minutes by."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from argmind.assembly import build_objective, build_predictor
from argmind.recipes.base import Recipe
from argmind.train.distributed import join_world
from argmind.train.engine import Engine

#: Steps that are not timed: the first ones allocate memory and choose kernels.
_WARM_UP_STEPS = 2
_LEAST_STEPS = 3


class Clock:
    """The wall-clock of a quickstart, by phase.

    It aims to be done after :data:`AIM` of the minutes: what is left is for a machine that slows
    down along the way.
    """

    AIM = 0.875
    #: Share of the whole time that is kept for studying the trained models.
    STUDY = 0.2
    #: Seconds, or share of the whole time if that is more, kept for samples and report.
    WRITING_S, WRITING = 6.0, 0.03

    def __init__(self, minutes: float) -> None:
        self.total_s = 60 * minutes
        self.phases_s: dict[str, float] = {}
        self._began_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began_s

    @property
    def training_s(self) -> float:
        """Seconds that are left for training; negative when there are none."""
        return self.study_s - self.STUDY * self.total_s

    @property
    def study_s(self) -> float:
        """Seconds that are left for studying the trained models; may be negative too."""
        writing_s = max(self.WRITING_S, self.WRITING * self.total_s)
        return self.AIM * self.total_s - self.elapsed_s - writing_s

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Whatever happens inside the ``with`` block is this phase."""
        began_s = time.monotonic()
        yield
        self.phases_s[name] = time.monotonic() - began_s


@dataclass(frozen=True)
class Pace:
    """Seconds of one optimiser step, and of one evaluation between steps."""

    step_s: float
    evaluation_s: float

    def seconds(self, steps: int, evaluations: int) -> float:
        """Of a whole training."""
        return steps * self.step_s + evaluations * self.evaluation_s


def measure_pace(recipe: Recipe, data: Any, for_s: float) -> Pace:
    """Train a throw-away model for about ``for_s`` seconds, a few steps at least."""
    predictor = build_predictor(recipe, data.model_inputs)
    objective = build_objective(recipe, predictor)
    world = join_world(recipe.training.device)
    engine = Engine(objective, data, recipe.training, recipe.optimizer, world)
    for step in range(_WARM_UP_STEPS):
        engine.step(step)
    engine.window.read()  # waits for the device
    began_s, done = time.perf_counter(), 0
    while done < _LEAST_STEPS or time.perf_counter() - began_s < for_s:
        engine.step(_WARM_UP_STEPS + done)
        engine.window.read()
        done += 1
    trained_s = time.perf_counter()
    engine.evaluate()
    return Pace((trained_s - began_s) / done, time.perf_counter() - trained_s)
