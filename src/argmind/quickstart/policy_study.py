"""What the policies do in their environment: success by way of asking, routes, energies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.policy.environments import make
from argmind.policy.environments.base import Environment
from argmind.policy.environments.point import BAR, GOAL_RADIUS
from argmind.policy.policy import Policy
from argmind.policy.rollout import Rollout, rollouts
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.policy_demonstrations import ENVIRONMENT
from argmind.quickstart.policy_findings import PolicyFindings
from argmind.quickstart.policy_ways import (
    KINDS,
    WAYS,
    Way,
    ms_per_action,
    quick_way,
    way_named,
    ways_of,
)
from argmind.quickstart.screen import Screen
from argmind.report.pictures import Picture, PictureTable
from argmind.report.policy_data import Paths, Plane, Strip

#: Seeds of test episodes, far from those of demonstrations.
FIRST_SEED = 100_000
#: The ways that are set side by side: thinker, rival, regression.
COMPARED = ("ebt_2", "ddpm_100", "bc")
#: Episodes that are timed, to know how many there is time for.
_TIMED = 5
#: Share of the time that goes to episodes; the rest is for pictures and timing.
_ACTING = 0.6
_PICTURED, _STRIP_PICTURES = 3, 8
_FRAME_MS = 100
#: Sides of pictures: rendered ones are thinned out to these.
_STRIP_SIDE, _MOVING_SIDE = 128, 64


def environment() -> Environment:
    """A new one."""
    return make(ENVIRONMENT)


class PolicyStudy:
    """All policies at their last step."""

    def __init__(
        self,
        trained: Trained,
        screen: Screen,
        demonstrated: Sequence[str],
        episodes: tuple[int, int],
    ) -> None:
        """``demonstrated``: routes; ``episodes``: how many are measured at least, and at most."""
        self.trained, self.screen, self.demonstrated = trained, screen, demonstrated
        self.least, self.most = episodes
        self.labels = {kind: one.label for kind, one in zip(KINDS, trained.contenders, strict=True)}
        # The last step, not the best: what all were at after the same time.
        self.policies = {
            kind: Policy.load(one.folder, which="last", seed=trained.seed)
            for kind, one in zip(KINDS, trained.contenders, strict=True)
        }

    def run(self, clock: Clock, data: str) -> Study:
        """As many episodes as there is time for, the same for all ways of asking."""
        count = self._count(clock.study_s)
        seeds = range(FIRST_SEED, FIRST_SEED + count)
        found = self._roll_all(seeds)
        findings = PolicyFindings(
            trained=self.trained,
            labels=self.labels,
            data=data,
            demonstrated=self.demonstrated,
            compared=COMPARED,
            episodes=found,
            ms_per_action={way.key: ms_per_action(self._policy(way), way) for way in WAYS},
            paths=[self._paths(way, found[way.key]) for way in map(way_named, COMPARED)],
            plane=Plane(low=(-1.0, -1.1), high=(1.0, 1.1), bar=tuple(BAR), goal_radius=GOAL_RADIUS),
            **self._pictures(found),
        )
        return findings.study(clock.phases_s)

    def _policy(self, way: Way) -> Policy:
        return self.policies[way.kind]

    def _roll(self, way: Way, seeds: Sequence[int], pictures: int = 0) -> list[Rollout]:
        policy = self._policy(way)
        return rollouts(policy, environment, seeds, way.of(policy), pictures=pictures)

    def _count(self, for_s: float) -> int:
        """Episodes that all ways can have in this time, by one quick way of each policy."""
        seeds = range(FIRST_SEED, FIRST_SEED + _TIMED)
        each_s = 0.0
        for way in map(quick_way, KINDS):
            began_s = time.perf_counter()
            self._roll(way, seeds)
            step_s = (time.perf_counter() - began_s) / (way.steps or 1)
            each_s += step_s * sum(one.steps or 1 for one in ways_of(way.kind)) / len(seeds)
        return int(np.clip(_ACTING * for_s / each_s, self.least, self.most))

    def _roll_all(self, seeds: Sequence[int]) -> dict[str, list[Rollout]]:
        found: dict[str, list[Rollout]] = {}
        with self.screen.counting("acting", len(WAYS)) as tell:
            for number, way in enumerate(WAYS):
                tell(number, f"{self.labels[way.kind]}, {way.words}, {len(seeds)} episodes")
                found[way.key] = self._roll(way, seeds)
        return found

    # -------------------------------------------------------------- pictures

    def _paths(self, way: Way, episodes: Sequence[Rollout]) -> Paths:
        states = [np.array(one.states) for one in episodes]
        return Paths(
            model=f"{self.labels[way.kind]}, {way.words}",
            paths=[each[:, :2] - each[:, 6:8] for each in states],
            goals=[each[0, 4:6] - each[0, 6:8] for each in states],
            succeeded=[one.success for one in episodes],
        )

    def _pictures(self, found: dict[str, list[Rollout]]) -> dict[str, Any]:
        """The first episodes moving, and strips of one that succeeds and one that fails."""
        first = [one.seed for one in found[COMPARED[0]][:_PICTURED]]
        drawn = {way: self._roll(way, first, len(first)) for way in map(way_named, COMPARED)}
        moving = PictureTable(
            header=[f"episode {number + 1}" for number in range(len(first))],
            labels=[f"{self.labels[way.kind]}, {way.words}" for way in drawn],
            rows=[[_moving(one) for one in episodes] for episodes in drawn.values()],
            caption="The first episodes, not chosen, moving: the same starts for all policies.",
        )
        return {"moving": [moving], "strips": self._strips(found[COMPARED[0]])}

    def _strips(self, episodes: Sequence[Rollout]) -> list[Strip]:
        way = way_named(COMPARED[0])
        strips: list[Strip] = []
        for success in (True, False):
            number = next((i for i, one in enumerate(episodes) if one.success is success), None)
            if number is None:
                continue
            drawn = self._roll(way, [episodes[number].seed], 1)[0]
            how = f"episode {number + 1}, the first that {'succeeds' if success else 'fails'}"
            strips.append(_strip(drawn, f"{self.labels[way.kind]}, {way.words}", how))
        return strips


def _strip(drawn: Rollout, model: str, how: str) -> Strip:
    last = len(drawn.pictures) - 1
    stride = max(1, -(-last // _STRIP_PICTURES))
    shown = list(range(last, -1, -stride))[::-1]  # evenly, the end among them
    return Strip(
        model=model,
        how=how,
        pictures=[_thinned(drawn.pictures[step], _STRIP_SIDE) for step in shown],
        pictured=shown,
        planned=[plan.step for plan in drawn.plans],
        before=[plan.energy_start for plan in drawn.plans],
        after=[plan.energy for plan in drawn.plans],
    )


def _moving(drawn: Rollout) -> Picture:
    kept = [*drawn.pictures[:-1:2], drawn.pictures[-1]]
    frames = np.stack([_thinned(picture, _MOVING_SIDE) for picture in kept])
    ended = "reached the goal" if drawn.success else "failed"
    pixels = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
    return Picture(pixels, f"a point that moves; it {ended}", ended, _FRAME_MS)


def _thinned(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    every = max(1, len(picture) // side)
    return picture[::every, ::every]
