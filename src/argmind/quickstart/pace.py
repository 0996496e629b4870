"""How long things take here: what a quickstart plans its minutes by."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from argmind.assembly import build_objective, build_predictor
from argmind.recipes.base import Recipe
from argmind.train.distributed import join_world
from argmind.train.engine import Engine

#: Steps that are not timed: the first ones allocate memory and choose kernels.
_WARM_UP_STEPS = 2
_LEAST_STEPS = 3
#: A first try this many times slower than the best so far is not repeated.
_HOPELESS = 3.0


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


class Trial:
    """A throw-away model in training."""

    def __init__(self, recipe: Recipe, data: Any) -> None:
        predictor = build_predictor(recipe, data.model_inputs)
        objective = build_objective(recipe, predictor)
        world = join_world(recipe.training.device)
        self._engine = Engine(objective, data, recipe.training, recipe.optimizer, world)
        self._done = 0

    def step(self) -> None:
        """One optimiser step, waited for."""
        self._engine.step(self._done)
        self._engine.window.read()
        self._done += 1

    def pace(self, for_s: float) -> Pace:
        """Train for about ``for_s`` seconds, a few steps at least, and evaluate once."""
        for _ in range(_WARM_UP_STEPS):
            self.step()
        began_s, done = time.perf_counter(), 0
        while done < _LEAST_STEPS or time.perf_counter() - began_s < for_s:
            self.step()
            done += 1
        step_s = (time.perf_counter() - began_s) / done
        return Pace(step_s, _timed(self._engine.evaluate))


def fastest_threads(work: Callable[[], object]) -> int:
    """Let torch compute with the number of threads that ``work`` is fastest with, from one up.

    Small matrices gain nothing from many threads; and where other programs keep the cores busy,
    threads that wait for one another can take thirty times as long as one.
    """
    most, best, best_s = torch.get_num_threads(), 1, math.inf
    count = 1
    while count <= most:
        torch.set_num_threads(count)
        if _timed(work) > _HOPELESS * best_s:
            break
        took_s = min(_timed(work) for _ in range(2))
        if took_s >= best_s:
            break
        best, best_s = count, took_s
        count = min(2 * count, most) if count < most else most + 1
    torch.set_num_threads(best)
    return best


@contextmanager
def threads_restored() -> Generator[None]:
    """Afterwards torch computes with as many threads as before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s
