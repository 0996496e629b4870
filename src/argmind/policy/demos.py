"""Demonstrations: episodes of an expert, each a pure function of the seed and its number."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from argmind import __version__
from argmind.data.episodes import Episode, Origin, require_free, write_episodes
from argmind.data.order import row_seeds
from argmind.errors import UserError
from argmind.policy.environments.base import Environment, make
from argmind.policy.experts.base import expert_for

Array = np.ndarray[Any, Any]
#: Purpose of the draws: seeds of episodes, far from the small ones that evaluations take.
_DEMOS = 0xDE
#: An expert that needs more tries than this is no expert.
_TRIES_EACH, _TRIES_MORE = 10, 20


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Who acts where: an environment, its settings, and those of its expert."""

    environment: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    expert: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0

    def open(self) -> Environment:
        """The environment; a wrong setting of the expert is found now as well.

        Raises:
            UserError: unknown names or settings, absent packages, no expert.
        """
        environment = make(self.environment, **self.settings)
        expert_for(environment, 0, **self.expert)
        return environment

    def seed_of(self, number: int) -> int:
        """The environment's seed in the attempt of this number."""
        return int(row_seeds(self.seed, _DEMOS, [number])[0] % 2**31)


@dataclass
class Tally:
    """How the expert did, failures included."""

    attempts: int = 0
    successes: int = 0
    score: float = 0.0
    kept: int = 0
    #: Of the episodes kept: how many took which way.
    routes: Counter[str] = field(default_factory=Counter[str])

    def add(self, episode: Episode, kept: bool) -> None:
        """Count an attempt."""
        self.attempts += 1
        self.successes += episode.success
        self.score += episode.score
        self.kept += kept
        if kept and episode.route:
            self.routes[episode.route] += 1

    @property
    def success_rate(self) -> float:
        """Share of attempts that succeeded."""
        return self.successes / max(1, self.attempts)

    @property
    def mean_score(self) -> float:
        """Mean of the attempts' best scores."""
        return self.score / max(1, self.attempts)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What :func:`record` made."""

    folder: Path
    tally: Tally
    steps: int
    seconds: float


def demonstrate(
    environment_name: str,
    settings: Mapping[str, Any] | None = None,
    episodes: int = 50,
    seed: int = 0,
    *,
    expert: Mapping[str, Any] | None = None,
    keep_failures: bool = False,
    workers: int = 1,
    tally: Tally | None = None,
) -> Iterator[Episode]:
    """Episodes of the environment's expert, the same whatever the number of worker processes.

    Args:
        episodes: how many to give; without ``keep_failures`` those that succeed, tried until
            there are enough.
        expert: settings of the expert.
        workers: processes; 1 works in this one.
        tally: counts all attempts.

    Raises:
        UserError: unknown names or settings; absent packages; an expert that hardly ever succeeds.
    """
    if episodes < 1 or workers < 1:
        raise UserError(f"episodes and workers must be at least 1, got {episodes} and {workers}.")
    stage = Stage(
        environment=environment_name, settings=settings or {}, expert=expert or {}, seed=seed
    )
    stage.open().close()
    return _kept(stage, episodes, keep_failures, workers, Tally() if tally is None else tally)


def record(
    folder: Path | str,
    environment_name: str,
    settings: Mapping[str, Any] | None = None,
    episodes: int = 50,
    seed: int = 0,
    *,
    expert: Mapping[str, Any] | None = None,
    keep_failures: bool = False,
    workers: int = 1,
    on_done: Callable[[int], None] | None = None,
) -> Recorded:
    """Write demonstrations into a new folder, whole or not at all; see :func:`demonstrate`.

    Raises:
        UserError: as there; the folder is not free or cannot be written.
    """
    require_free(Path(folder))
    environment = make(environment_name, **(settings or {}))
    origin = Origin(
        environment=environment_name,
        settings=settings or {},
        fps=environment.fps,
        action_low=tuple(environment.action_low.tolist()),
        action_high=tuple(environment.action_high.tolist()),
        made={
            "argmind": __version__,
            "seed": seed,
            "expert": dict(expert or {}),
            "keep_failures": keep_failures,
        },
    )
    environment.close()
    tally, began = Tally(), time.perf_counter()
    found = demonstrate(
        *(environment_name, settings, episodes, seed),
        expert=expert,
        keep_failures=keep_failures,
        workers=workers,
        tally=tally,
    )

    def told() -> Iterator[Episode]:
        for episode in found:
            yield episode
            if on_done is not None:
                on_done(tally.kept)

    steps = write_episodes(folder, told(), origin)
    seconds = time.perf_counter() - began
    return Recorded(folder=Path(folder), tally=tally, steps=steps, seconds=seconds)


def perform(stage: Stage, environment: Environment, number: int) -> Episode:
    """One attempt of the expert, to its end."""
    seed = stage.seed_of(number)
    observation, info = environment.reset(seed)
    expert = expert_for(environment, seed, **stage.expert)
    expert.reset()
    seen: dict[str, list[Array]] = {name: [] for name in observation}
    actions: list[Array] = []
    rewards: list[float] = []
    score, success, over = 0.0, False, False
    while not over:
        action = expert.act(observation, info)
        for name, value in observation.items():
            seen[name].append(value)
        actions.append(np.array(action, dtype=np.float32))
        observation, reward, terminated, truncated, info = environment.step(action)
        rewards.append(reward)
        score, success = max(score, info["score"]), success or info["success"]
        over = terminated or truncated
    return Episode(
        observations={name: np.stack(values) for name, values in seen.items()},
        actions=np.stack(actions),
        rewards=np.array(rewards, dtype=np.float32),
        success=success,
        score=score,
        seed=seed,
        route=info.get("route", ""),
    )


def _kept(
    stage: Stage, episodes: int, keep_failures: bool, workers: int, tally: Tally
) -> Iterator[Episode]:
    most = episodes if keep_failures else _TRIES_EACH * episodes + _TRIES_MORE
    attempts = _attempts(stage) if workers == 1 else _shared_out(stage, workers)
    with closing(attempts):
        for episode in islice(attempts, most):
            kept = keep_failures or episode.success
            tally.add(episode, kept)
            if kept:
                yield episode
            if tally.kept == episodes:
                return
    raise UserError(
        f"the expert of '{stage.environment}' succeeded in {tally.successes} of {tally.attempts} "
        f"attempts, too few for {episodes} episodes: change its settings, or keep failures too."
    )


# ------------------------------------------------------------------ in this process or in others


def _attempts(stage: Stage) -> Generator[Episode]:
    """All attempts, one after another."""
    environment = stage.open()
    try:
        for number in count():
            yield perform(stage, environment, number)
    finally:
        environment.close()


def _shared_out(stage: Stage, workers: int) -> Generator[Episode]:
    """All attempts in order, made by several processes that stay a little ahead."""
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(stage,)
    )
    waiting: deque[Future[Episode]] = deque()
    try:
        for number in count():
            waiting.append(pool.submit(_perform_here, number))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


#: In a worker: its stage and environment.
_here: list[tuple[Stage, Environment]] = []


def _begin(stage: Stage) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    _here.append((stage, stage.open()))


def _perform_here(number: int) -> Episode:
    (stage, environment) = _here[0]
    return perform(stage, environment, number)
