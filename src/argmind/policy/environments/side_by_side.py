"""Several environments of one kind that are stepped together, in this process or in others."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from argmind.errors import UserError
from argmind.policy.environments.base import Environment, Info, Observation, make

Bools = NDArray[np.bool_]


class Stepped(NamedTuple):
    """K environments after a step, or after their reset."""

    observations: Observation  # each (K, …)
    rewards: NDArray[np.float64]  # (K,)
    terminated: Bools  # (K,)
    truncated: Bools  # (K,)
    infos: list[Info]


class _One(NamedTuple):
    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: Info


class SideBySide:
    """K environments with stacked observations; those whose episode is over are left alone.

    Of these the last observation and info stay, the reward is 0 and the action is ignored. What
    an environment does depends on its own seed and actions alone, so that neither neighbours nor
    the number of processes change anything. Use it in a ``with`` statement, or close it.
    """

    def __init__(
        self,
        name: str,
        count: int,
        settings: Mapping[str, Any] | None = None,
        workers: int = 1,
    ) -> None:
        """Make the environments.

        Args:
            workers: processes to spread them over; 1 keeps them in this one, which is faster for
                worlds that step in less than about 0.2 ms.

        Raises:
            UserError: unknown name or settings, absent packages, no environment or no process.
        """
        if count < 1 or workers < 1:
            raise UserError(f"at least 1 environment and 1 worker, got {count} and {workers}.")
        settings = dict(settings or {})
        sizes = [len(part) for part in np.array_split(np.arange(count), min(workers, count))]
        self._ends = np.cumsum(sizes)[:-1]
        self._groups: list[_Group] = []
        if len(sizes) == 1:
            self._groups = [_Here(name, settings, count)]
        else:
            make(name, **settings).close()  # errors are told now, and by this process
            self._groups = [_Elsewhere(name, settings, size) for size in sizes]
        self._last: list[_One] = []
        self.count = count

    def __enter__(self) -> SideBySide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close()

    @property
    def running(self) -> Bools:
        """Whose episode is not over: (K,)."""
        return np.array([not (one.terminated or one.truncated) for one in self._last], dtype=bool)

    def reset(self, seeds: Sequence[int]) -> Stepped:
        """Start an episode in every environment.

        Raises:
            UserError: not one seed for each.
        """
        if len(seeds) != self.count:
            raise UserError(f"{self.count} environments need as many seeds, got {len(seeds)}.")
        parts = np.split(np.asarray(seeds, dtype=np.int64), self._ends)
        for group, part in zip(self._groups, parts, strict=True):
            group.ask("reset", [int(seed) for seed in part])
        self._last = [one for one in self._heard() if one is not None]
        return self._stacked()

    def step(self, actions: NDArray[Any]) -> Stepped:
        """Act in every environment whose episode is not over, by the rows of ``actions`` (K, A).

        Raises:
            UserError: there was no reset, the number of rows is wrong, or an environment refuses.
        """
        if not self._last:
            raise UserError("call reset(seeds) before step(actions).")
        if len(actions) != self.count:
            raise UserError(f"{self.count} environments need as many actions, got {len(actions)}.")
        running = self.running
        rows = [actions[row] if running[row] else None for row in range(self.count)]
        for group, part in zip(
            self._groups, np.split(np.arange(self.count), self._ends), strict=True
        ):
            group.ask("step", [rows[row] for row in part])
        self._last = [
            last._replace(reward=0.0) if one is None else one
            for one, last in zip(self._heard(), self._last, strict=True)
        ]
        return self._stacked()

    def close(self) -> None:
        """Close the environments and end their processes."""
        for group in self._groups:
            group.close()
        self._groups = []

    def _heard(self) -> list[_One | None]:
        # All groups are heard before an error is raised, so that none stays a step behind.
        told = [group.answer() for group in self._groups]
        for answer in told:
            if isinstance(answer, Exception):
                raise answer
        return [one for answer in told if isinstance(answer, list) for one in answer]

    def _stacked(self) -> Stepped:
        names = self._last[0].observation
        return Stepped(
            {name: np.stack([one.observation[name] for one in self._last]) for name in names},
            np.array([one.reward for one in self._last], dtype=np.float64),
            np.array([one.terminated for one in self._last], dtype=bool),
            np.array([one.truncated for one in self._last], dtype=bool),
            [one.info for one in self._last],
        )


# ------------------------------------------------------------------ groups of environments

Answer = list[_One | None] | Exception


class _Group(Protocol):
    """Some of the environments: asked first, heard later, so that groups work at once."""

    def ask(self, what: str, rows: list[Any]) -> None: ...

    def answer(self) -> Answer: ...

    def close(self) -> None: ...


class _Here:
    """Environments of this process."""

    def __init__(self, name: str, settings: Mapping[str, Any], count: int) -> None:
        self._worlds = [make(name, **settings) for _ in range(count)]
        self._answer: Answer = []

    def ask(self, what: str, rows: list[Any]) -> None:
        act = _reset if what == "reset" else _step
        try:
            self._answer = [
                None if row is None else act(world, row)
                for world, row in zip(self._worlds, rows, strict=True)
            ]
        except Exception as error:  # told by answer(), as from another process
            self._answer = error

    def answer(self) -> Answer:
        return self._answer

    def close(self) -> None:
        for world in self._worlds:
            world.close()


class _Elsewhere:
    """Environments of a process of their own."""

    def __init__(self, name: str, settings: Mapping[str, Any], count: int) -> None:
        processes = get_context("spawn")
        self._pipe, theirs = processes.Pipe()
        arguments = (theirs, name, settings, count)
        self._process = processes.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, what: str, rows: list[Any]) -> None:
        self._pipe.send((what, rows))

    def answer(self) -> Answer:
        try:
            return self._pipe.recv()
        except EOFError:
            return RuntimeError("a process of environments has ended unexpectedly")

    def close(self) -> None:
        self._pipe.close()  # which ends the process
        self._process.join()


def _serve(pipe: Connection, name: str, settings: Mapping[str, Any], count: int) -> None:
    """Do as the other end of the pipe asks until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    group = _Here(name, settings, count)
    try:
        while True:
            group.ask(*pipe.recv())
            pipe.send(group.answer())
    except EOFError:
        group.close()


def _reset(world: Environment, seed: int) -> _One:
    observation, info = world.reset(seed)
    return _One(observation, 0.0, False, False, info)


def _step(world: Environment, action: NDArray[Any]) -> _One:
    return _One(*world.step(action))
