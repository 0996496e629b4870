"""Which strokes bring a T-shaped block home soonest, found by simulating them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argmind.policy.experts._push_simulation import (
    GOAL,
    WALL_HIGH,
    WALL_LOW,
    Array,
    PushSimulation,
    corners,
    moved,
    to_block,
)
from argmind.policy.experts._strokes import (
    ANGLE,
    BEND,
    COARSE,
    GAP,
    LENGTH,
    PLACE,
    RIM,
    SETTLE,
    Routes,
    on_table,
    push_targets,
    rim_index,
    rim_lengths,
    starts,
)

#: Steps of the longest push, and angles to the block's side among which a plan looks first.
_LONGEST = 24
_ANGLES = np.radians([-25.0, 0.0, 25.0])
#: First strokes that are continued with a second one.
_KEPT = 12
#: Steps still to go at an error of e pixels: one part a halving, one a pixel; below it is home.
_PER_HALVING, _PER_PIXEL, _HOME = 14.0, 0.4, 0.7
#: A stroke moves the block by this share of the error at least.
_WORTH = 0.15
#: Refinement: rounds, plans a round, plans kept, and first spread of (place, angle, bend, length).
_ROUNDS, _DRAWN, _BEST = 3, 128, 14
_SPREAD = (12.0, 0.2, 0.002, 10.0)
_FORBIDDEN = 1e4


def to_go(blocks: Array) -> Array:
    """A guess of the steps that an expert still needs."""
    error = moved(GOAL, blocks)
    return _PER_HALVING * np.log2(np.maximum(error, _HOME) / _HOME) + _PER_PIXEL * error


def _useless(before: Array, after: Array) -> Array:
    """What makes a stroke bad: it leaves the block where it is, or drives it into a wall."""
    places = corners(after)
    beyond = np.maximum(WALL_LOW + 1 - places, places - WALL_HIGH + 1).max((-1, -2))
    idle = moved(before, after) < _WORTH * moved(GOAL, before)
    return 5 * np.maximum(0, beyond) + _FORBIDDEN * idle


@dataclass(frozen=True)
class _Options:
    """Coarse strokes at each of M blocks, ended early or late: arrays (M, S, E, …)."""

    strokes: Array  # 4
    blocks: Array  # 3: where the block is then
    discs: Array  # 2
    steps: NDArray[np.int64]  # (E,)
    faults: Array


class PushPlanner:
    """Plans two strokes ahead: a coarse grid with look-ahead, then cross-entropy refinement.

    ``pace`` is how many pixels a step the disc goes between strokes, ``variety`` how far from
    the best a plan may be, in steps.
    """

    def __init__(self, rng: np.random.Generator, pace: float, variety: float) -> None:
        self._rng, self._pace, self._variety = rng, pace, variety
        self._between = rim_lengths()

    def plan(self, block: Array, routes: Routes) -> Array:
        """One or two strokes (K, 4)."""
        first = self._options(block[None])
        travel = routes.length(RIM[COARSE]).repeat(len(_ANGLES))[None, :, None] / self._pace
        chance = self._variety * self._rng.standard_normal(len(COARSE)).repeat(len(_ANGLES))
        spent = (travel + first.steps + first.faults + chance[:, None])[0]  # (S, E)
        alone = spent + to_go(first.blocks[0])
        ends = alone.argmin(1)
        each = np.arange(len(ends))
        kept = alone[each, ends].argsort()[:_KEPT]
        ends = ends[kept]
        blocks, discs = first.blocks[0, kept, ends], first.discs[0, kept, ends]

        second = self._options(blocks)
        near = np.linalg.norm(to_block(blocks, discs)[:, None] - RIM[COARSE], axis=-1).argmin(1)
        travel = self._between[near].repeat(len(_ANGLES), axis=1)[:, :, None] / self._pace
        rest = (travel + second.steps + second.faults + to_go(second.blocks)).reshape(len(kept), -1)
        follow = rest.argmin(1)
        together = spent[kept, ends] + rest.min(1)
        single = alone[kept, ends]
        best = int(np.minimum(single, together).argmin())
        plan = [first.strokes[0, kept[best], ends[best]]]
        if together[best] < single[best]:
            plan.append(second.strokes[best].reshape(-1, 4)[follow[best]])
        return np.stack(plan)

    def _options(self, blocks: Array) -> _Options:
        """Straight strokes from all sides, and what each does when it ends after some steps."""
        places, angles = np.meshgrid(COARSE, _ANGLES, indexing="ij")
        grid = np.zeros((places.size, 4))
        grid[:, PLACE], grid[:, ANGLE], grid[:, LENGTH] = places.ravel(), angles.ravel(), np.inf
        strokes = np.tile(grid, (len(blocks), 1))
        tables = blocks.repeat(len(grid), axis=0)
        begins = starts(tables, strokes)
        targets, _ = push_targets(tables, strokes, begins, _LONGEST)
        poses = PushSimulation(tables, begins, np.zeros(2)).run(targets)
        # A disc lags two steps behind its target: ended at k, the block is as two steps later.
        ended = np.arange(1, _LONGEST - 2, 2)
        discs, after = targets[:, ended], poses[:, ended + 2]
        inside = np.logical_and.accumulate(on_table(targets), 1)[:, ended]
        inside &= on_table(begins)[:, None]
        chosen = np.repeat(strokes[:, None], len(ended), axis=1)
        chosen[..., LENGTH] = np.linalg.norm(discs - begins[:, None], axis=-1)
        faults = _useless(tables[:, None], after) + 100 * _FORBIDDEN * ~inside
        shape = (len(blocks), len(grid), len(ended))
        return _Options(
            strokes=chosen.reshape(*shape, 4),
            blocks=after.reshape(*shape, 3),
            discs=discs.reshape(*shape, 2),
            steps=ended + 4 + SETTLE,
            faults=faults.reshape(shape),
        )

    def refine(self, block: Array, plan: Array, disc: tuple[Array, Array, Array] | None) -> Array:
        """The plan (K, 4) made better all at once.

        Args:
            block: where it is now (3,).
            plan: the strokes.
            disc: place, velocity and last target (2 each), where the first stroke begins at once.
        """
        mean, spread = plan.ravel(), np.tile(_SPREAD, len(plan))
        best, lowest = mean, np.inf
        for _ in range(_ROUNDS):
            drawn = mean + spread * self._rng.standard_normal((_DRAWN, len(mean)))
            drawn[0], drawn[1] = mean, best
            drawn[:, LENGTH::4] = np.maximum(drawn[:, LENGTH::4], GAP + 2)
            costs = self._cost(block, drawn.reshape(_DRAWN, -1, 4), disc)
            order = costs.argsort()[:_BEST]
            if costs[order[0]] < lowest:
                best, lowest = drawn[order[0]].copy(), costs[order[0]]
            mean, spread = drawn[order].mean(0), drawn[order].std(0) + 1e-3
        return best.reshape(plan.shape)

    def _cost(self, block: Array, plans: Array, disc: tuple[Array, Array, Array] | None) -> Array:
        """Steps that plans (N, K, 4) need, with those still to go after them."""
        blocks, cost = np.tile(block, (len(plans), 1)), np.zeros(len(plans))
        for number in range(plans.shape[1]):
            strokes = plans[:, number]
            begins = starts(blocks, strokes)
            place, velocity = begins, np.zeros(2)
            if number == 0 and disc is not None:
                place, velocity, begins = disc[0], disc[1], np.tile(disc[2], (len(plans), 1))
            targets, took = push_targets(blocks, strokes, begins, _LONGEST + 4)
            targets = targets[:, : int(took.max()) + SETTLE]
            after = PushSimulation(blocks, place, velocity).run(targets)[:, -1]
            cost += took + _useless(blocks, after)
            cost += 30 * np.abs(strokes[:, BEND]) * strokes[:, LENGTH]
            cost += _FORBIDDEN * ~(on_table(targets).all(1) & on_table(begins))
            blocks = after
        return cost + to_go(blocks)


def first_place(plan: Array) -> Array:
    """Where a plan begins, seen from the block."""
    return RIM[rim_index(plan[0, PLACE])]
