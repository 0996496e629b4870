"""Strokes at a T-shaped block: where the disc begins, how it pushes, how it gets there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from argmind.policy.experts._push_simulation import (
    AGENT_RADIUS,
    CORNERS,
    Array,
    distance,
    to_block,
    to_table,
)

#: A stroke begins with this gap between disc and block.
GAP = 8.0
_REACH = AGENT_RADIUS + GAP
#: The disc's targets stay within these.
TABLE_LOW, TABLE_HIGH = 15.0, 497.0
#: Pixels a step of a push: at its beginning, more with every step, at most, and at its end.
_FIRST, _FASTER, _FASTEST, _LAST = 4.0, 2.0, 10.0, 3.0
#: A push slows down so that it has this share of the rest left for every step.
_BRAKE = 0.3
#: Steps after a push in which the disc comes to rest.
SETTLE = 3
#: Columns of strokes (N, 4): place on the rim, angle to the block's side, bend (radians a pixel),
#: length (pixels).
PLACE, ANGLE, BEND, LENGTH = range(4)
_UNREACHABLE = 1e6


def _rim() -> tuple[Array, Array]:
    """Places around the block, a pixel apart, from which strokes begin, and the way inwards."""
    places: list[Array] = []
    inward: list[float] = []
    for number, corner in enumerate(CORNERS):
        ahead, beyond = np.roll(CORNERS, -number - 1, axis=0)[:2]
        side, following = ahead - corner, beyond - ahead
        length = float(np.linalg.norm(side))
        side, following = side / length, following / np.linalg.norm(following)
        out = np.array([side[1], -side[0]])
        for along in np.arange(0.5, length):
            places.append(corner + along * side + _REACH * out)
            inward.append(float(np.arctan2(-out[1], -out[0])))
        if side[0] * following[1] - side[1] * following[0] > 0:  # round an outer corner
            first = float(np.arctan2(out[1], out[0]))
            for angle in first + np.linspace(0, np.pi / 2, int(_REACH * np.pi / 2)):
                places.append(ahead + _REACH * np.array([np.cos(angle), np.sin(angle)]))
                inward.append(angle + np.pi)
    rim, angles = np.array(places), np.array(inward)
    free = distance(rim) > _REACH - 0.5
    return rim[free], angles[free]


RIM, _INWARD = _rim()
#: Places on the rim among which a plan looks first.
COARSE: NDArray[np.int64] = np.arange(0, len(RIM), 11)
#: Turning points of ways round the block, outside its corners.
_TURNS: Array = np.array(
    [(-82, -67), (82, -67), (82, 8), (39, 9), (37, 97), (-37, 97), (-39, 9), (-82, 8)],
    dtype=np.float64,
)


def on_table(places: Array) -> NDArray[np.bool_]:
    """Whether the disc may go to places (…, 2)."""
    return (places.min(-1) >= TABLE_LOW) & (places.max(-1) <= TABLE_HIGH)


def rim_index(places: Array) -> NDArray[np.int64]:
    """Numbers of rim places; the rim is closed."""
    return np.round(places).astype(np.int64) % len(RIM)


def starts(blocks: Array, strokes: Array) -> Array:
    """Where the disc begins (N, 2)."""
    return to_table(blocks, RIM[rim_index(strokes[:, PLACE])])


def push_targets(
    blocks: Array, strokes: Array, begins: Array, steps: int
) -> tuple[Array, NDArray[np.int64]]:
    """Targets (N, steps, 2) of pushes from given places, and how many steps each push takes."""
    heading = _INWARD[rim_index(strokes[:, PLACE])] + strokes[:, ANGLE] + blocks[:, 2]
    done, place = np.zeros(len(strokes)), begins.astype(np.float64)
    took = np.zeros(len(strokes), dtype=np.int64)
    targets = np.empty((len(strokes), steps, 2))
    for step in range(steps):
        left = strokes[:, LENGTH] - done
        took += left > 1e-6
        pace = min(_FASTEST, _FIRST + _FASTER * step)
        ahead = np.minimum(np.minimum(pace, np.maximum(_LAST, _BRAKE * left)), left)
        angle = heading + strokes[:, BEND] * (done + ahead / 2)
        place = place + ahead[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        done = done + ahead
        targets[:, step] = place
    return targets, took


class Routes:
    """Ways of a disc round a block, straight between turning points; ``variety`` adds chance."""

    def __init__(
        self, block: Array, agent: Array, variety: float, rng: np.random.Generator
    ) -> None:
        self._block, self._agent = block, to_block(block, agent)
        begin = self._agent
        if distance(begin) < _REACH - 2:  # first away from the block
            begin = RIM[np.linalg.norm(RIM - begin, axis=1).argmin()]
        self._nodes = np.concatenate([begin[None], _TURNS])
        self._open = on_table(to_table(block, self._nodes))
        self._open[0] = True
        lengths = _legs(self._nodes, self._nodes)
        lengths *= 1 + variety * rng.random(lengths.shape)
        lengths[~self._open] = lengths[:, ~self._open] = _UNREACHABLE
        self._lengths, self._next = _shortest(lengths)

    def length(self, places: Array) -> Array:
        """Pixels to places (N, 2) seen from the block; very many where there is no way."""
        first = np.linalg.norm(self._nodes[0] - self._agent)
        return self._through(places).min(0) + first

    def way(self, place: Array) -> Array | None:
        """Places on the table to pass on the way to one seen from the block, itself the last."""
        through = self._through(place[None])[:, 0]
        last, node = int(through.argmin()), 0
        if through[last] >= _UNREACHABLE:
            return None
        passed = [self._nodes[0]]
        while node != last:
            node = int(self._next[node, last])
            passed.append(self._nodes[node])
        return to_table(self._block, np.stack([*passed, place]))

    def _through(self, places: Array) -> Array:
        lengths = self._lengths[0][:, None] + _legs(self._nodes, places)
        return np.where(self._open[:, None], lengths, _UNREACHABLE)


def rim_lengths() -> Array:
    """Ways between the coarse rim places when no wall is near."""
    nodes = np.concatenate([_TURNS, RIM[COARSE]])
    return _shortest(_legs(nodes, nodes))[0][len(_TURNS) :, len(_TURNS) :]


def _legs(begins: Array, ends: Array) -> Array:
    """Lengths of straight legs, seen from the block, where they keep away from it."""
    way = ends[None] - begins[:, None]
    along = begins[:, None, None] + np.linspace(0, 1, 48)[:, None] * way[:, :, None]
    free = (distance(along) > _REACH - 3).all(-1)
    return np.where(free, np.linalg.norm(way, axis=-1), _UNREACHABLE)


def _shortest(lengths: Array) -> tuple[Array, NDArray[np.int64]]:
    """Lengths between all nodes and the node to go to next (Floyd-Warshall)."""
    lengths = lengths.copy()
    following = np.tile(np.arange(len(lengths)), (len(lengths), 1))
    for node in range(len(lengths)):
        other = lengths[:, node, None] + lengths[node]
        shorter = other < lengths
        lengths = np.where(shorter, other, lengths)
        following = np.where(shorter, following[:, node, None], following)
    return lengths, following


def along(way: Array, fastest: float) -> Array:
    """Targets (T, 2) along a way, speeding up and slowing down, at most so many pixels a step."""
    legs = np.linalg.norm(np.diff(way, axis=0), axis=1)
    marks = np.concatenate([[0], np.cumsum(legs)])
    targets: list[tuple[float, float]] = []
    done, pace = 0.0, _FIRST
    while done < marks[-1] - 1e-6:
        pace = min(fastest, pace + 3, max(_FIRST, _BRAKE * (marks[-1] - done)))
        done = min(marks[-1], done + pace)
        targets.append((np.interp(done, marks, way[:, 0]), np.interp(done, marks, way[:, 1])))
    return np.array(targets).reshape(-1, 2)
