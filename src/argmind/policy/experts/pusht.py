"""Strokes planned in a simulation of the table, until the block is home."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from argmind.config import PartConfig
from argmind.policy.environments.base import Floats, Info, Observation
from argmind.policy.environments.pusht import PushT
from argmind.policy.experts._push_planner import PushPlanner, first_place
from argmind.policy.experts._push_simulation import Array, PushSimulation, moved, to_table
from argmind.policy.experts._strokes import LENGTH, SETTLE, Routes, along, push_targets
from argmind.policy.experts.base import Expert
from argmind.registry import register

#: The block is elsewhere than foreseen by so many pixels: plan anew.
_SURPRISE = 4.0
#: On its way to a stroke the disc may not move the block by more pixels; or it goes slower.
_BRUSH, _SLOWER = 0.5, (1.0, 0.6, 0.4)
#: Ways round the block are chosen as if legs were longer by up to this share.
_DETOUR = 0.05
#: Steps of the longest push.
_LONGEST = 60
_NO_STROKES: Array = np.empty((0, 4))


@register("expert", "pusht")
class PushTExpert(Expert):
    """Pushes the block in strokes, two of them planned ahead, and goes round it in between.

    Every move is simulated before it is made; when the block is not where it was foreseen to be,
    as after a hand has moved it, new strokes are planned. Chance decides between ways round the
    block that are nearly as good; with ``variety`` it does between plans as well, and with
    ``clumsiness`` pushes go wrong, so that episodes show how to put things right. Both are noise
    to who learns from it (docs/log.md).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pace: float = 13.0  # pixels a step between strokes; pushes are slower
        clumsiness: float = 0.0  # of pushes, in radians and in shares of their length
        variety: float = 0.0  # how much worse than the best a plan may seem, in steps

        def __post_init__(self) -> None:
            if not 4 <= self.pace <= 30:
                raise ValueError(f"pace must be within [4, 30] pixels a step, got {self.pace}")
            if not 0 <= self.clumsiness <= 0.5:
                raise ValueError(f"clumsiness must be within [0, 0.5], got {self.clumsiness}")
            if self.variety < 0:
                raise ValueError(f"variety must not be negative, got {self.variety}")

    def __init__(self, config: Config, environment: PushT, rng: np.random.Generator) -> None:
        self.config, self.environment, self.rng = config, environment, rng
        self._pace, self._clumsiness = config.pace, config.clumsiness
        self._planner = PushPlanner(rng, config.pace, config.variety)
        self.reset()

    def reset(self) -> None:
        """Plan from scratch."""
        self._queue: deque[tuple[Array, Array]] = deque()  # targets, where the block is then
        self._strokes, self._begun = _NO_STROKES, False  # begun: the disc is where the first begins
        self._target: Array | None = None
        self._foreseen: Array | None = None

    def act(self, observation: Observation, info: Info) -> Floats:  # noqa: ARG002
        """Where the disc shall be next."""
        disc, block = self.environment.pose[:2], self.environment.pose[2:]
        if self._foreseen is not None and moved(self._foreseen, block) > _SURPRISE:
            self._queue.clear()
            self._strokes, self._begun = _NO_STROKES, False
        last = disc if self._target is None else self._target
        while not self._queue:  # a way may have no length
            targets = (self._push if self._begun else self._approach)(block, disc, last)
            blocks = self._simulated(block, disc, targets)
            self._queue.extend(zip(targets, blocks, strict=True))
            self._begun = not self._begun
        self._target, self._foreseen = self._queue.popleft()
        return self._target.astype(np.float32)

    def _approach(self, block: Array, disc: Array, last: Array) -> Array:
        """Targets on the way to where the next stroke begins."""
        way = np.concatenate([last[None], self._way(block, disc)])
        targets = way[:0]
        for slower in _SLOWER:
            targets = along(way, slower * self._pace)
            foreseen = self._simulated(block, disc, targets)
            if not len(targets) or moved(block, foreseen[-1]) < _BRUSH:
                break
        return targets

    def _way(self, block: Array, disc: Array) -> Array:
        """Places to pass on the way to the next stroke, which is planned where there is none."""
        routes = Routes(block, disc, _DETOUR, self.rng)
        if len(self._strokes):
            self._strokes = self._planner.refine(block, self._strokes, None)
            way = routes.way(first_place(self._strokes))
            if way is not None:
                return way
        coarse = self._planner.plan(block, routes)
        for strokes in (self._planner.refine(block, coarse, None), coarse):
            self._strokes = strokes
            way = routes.way(first_place(strokes))
            if way is not None:
                return way
        return to_table(block, first_place(coarse))[None]  # shut in: straight on

    def _push(self, block: Array, disc: Array, last: Array) -> Array:
        """Targets of the first stroke, refined from where the disc is now."""
        moving = (disc, self.environment.velocity, last)
        strokes = self._planner.refine(block, self._strokes, moving)
        stroke, self._strokes = self._clumsy(strokes[0]), strokes[1:]
        targets, took = push_targets(block[None], stroke[None], last[None], _LONGEST)
        low, high = self.environment.action_low, self.environment.action_high
        return np.clip(targets[0, : took[0] + SETTLE], low, high)

    def _clumsy(self, stroke: Array) -> Array:
        """A stroke as it turns out: off in angle, bend and length."""
        angle, bend, length = self._clumsiness * self.rng.standard_normal(3)
        length *= stroke[LENGTH]
        return stroke + np.array([0, angle, bend / max(stroke[LENGTH], 20), length])

    def _simulated(self, block: Array, disc: Array, targets: Array) -> Array:
        """The block (T, 3) after each of the targets (T, 2)."""
        table = PushSimulation(block[None], disc, self.environment.velocity)
        return table.run(targets[None])[0]
