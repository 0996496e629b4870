"""Push-T's physics for many tables at once, as plans of an expert need it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Where walls begin, in pixels, at both axes; and the radius of the disc.
WALL_LOW, WALL_HIGH = 7.0, 504.0
AGENT_RADIUS = 15.0
#: The block is two boxes (left, right, top, bottom), seen from its centre of gravity.
BOXES = ((-60.0, 60.0, -45.0, -15.0), (-15.0, 15.0, -15.0, 75.0))
CORNERS: Array = np.array(
    [(-60, -45), (60, -45), (60, -15), (15, -15), (15, 75), (-15, 75), (-15, -15), (-60, -15)],
    dtype=np.float64,
)
#: From the origin of the block's body, which a pose tells, to its centre of gravity.
_CENTRE = 45.0
#: No corner is further from the centre of gravity, with what a step may add.
_REACH = 110.0
GOAL: Array = np.array([256, 256, np.pi / 4])

#: gym-pusht: 10 substeps of 0.01 s an action; a spring-damper pulls the disc; mass 1.
_SUBSTEPS, _DT, _STIFFNESS, _DAMPING, _INERTIA = 10, 0.01, 100.0, 20.0, 3000.0
#: pymunk: overlap that it leaves alone, and the share of the rest that a substep takes away.
_SLOP, _BIAS = 0.1, 1.0 - (0.9**60) ** _DT
_ITERATIONS = 5
_NEVER = -1e9


def to_table(poses: Array, points: Array) -> Array:
    """Points seen from the block's centre of gravity, as places on the table (…, 2)."""
    cos, sin = np.cos(poses[..., 2]), np.sin(poses[..., 2])
    x, y = points[..., 0], points[..., 1] + _CENTRE
    return np.stack([poses[..., 0] + cos * x - sin * y, poses[..., 1] + sin * x + cos * y], -1)


def to_block(poses: Array, places: Array) -> Array:
    """The inverse of :func:`to_table`."""
    cos, sin = np.cos(poses[..., 2]), np.sin(poses[..., 2])
    x, y = places[..., 0] - poses[..., 0], places[..., 1] - poses[..., 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x - _CENTRE], -1)


def corners(poses: Array) -> Array:
    """Corners (…, 8, 2) of the block on the table."""
    return to_table(poses[..., None, :], CORNERS)


def moved(before: Array, after: Array) -> Array:
    """Mean way of the corners between poses, in pixels."""
    return np.linalg.norm(corners(after) - corners(before), axis=-1).mean(-1)


def distance(points: Array) -> Array:
    """From points seen from the block to the block (0 inside)."""
    x, y = points[..., 0], points[..., 1]
    apart = [
        np.hypot(
            np.maximum(np.maximum(left - x, x - right), 0),
            np.maximum(np.maximum(top - y, y - bottom), 0),
        )
        for left, right, top, bottom in BOXES
    ]
    return np.minimum(*apart)


class PushSimulation:
    """Discs and blocks on N tables, stepped together; nothing moves on by itself.

    Blocks (N, 3) are poses; disc and velocity are (2,) or (N, 2). A block has no momentum: in
    every substep contacts without friction give it the velocity that the disc asks for, walls
    take it, and overlap is pushed out a little, as in pymunk with damping 0.
    """

    def __init__(self, blocks: Array, agents: Array, velocities: Array) -> None:
        count = len(blocks)
        self._agent = np.broadcast_to(agents, (count, 2)).T.copy()
        self._velocity = np.broadcast_to(velocities, (count, 2)).T.copy()
        self._place = to_table(blocks, np.zeros(2)).T.copy()
        self._angle = blocks[:, 2].copy()
        self._twist = np.zeros((3, count))  # velocity of the block and its turning

    @property
    def poses(self) -> Array:
        """The blocks (N, 3)."""
        x, y = self._place
        cos, sin = np.cos(self._angle), np.sin(self._angle)
        return np.stack([x + sin * _CENTRE, y - cos * _CENTRE, self._angle], -1)

    def run(self, targets: Array) -> Array:
        """Follow targets (N, T, 2), an action each: poses (N, T, 3) after every one."""
        poses: list[Array] = []
        for target in targets.transpose(1, 2, 0):
            self.step(target)
            poses.append(self.poses)
        return np.stack(poses, 1) if poses else np.empty((len(self._angle), 0, 3))

    def step(self, target: Array) -> None:
        """Pull the discs towards targets (2, N) for the time of one action."""
        low, high = self._place.min(), self._place.max()
        walls = bool(low < WALL_LOW + _REACH or high > WALL_HIGH - _REACH)
        for _ in range(_SUBSTEPS):
            pull = _STIFFNESS * (target - self._agent) - _DAMPING * self._velocity
            self._velocity += pull * _DT
            self._agent += self._velocity * _DT
            self._place += self._twist[:2] * _DT
            self._angle += self._twist[2] * _DT
            self._touch(walls)

    def _touch(self, walls: bool) -> None:
        cos, sin = np.cos(self._angle), np.sin(self._angle)
        x, y = _turned(cos, sin, *(self._agent - self._place))
        u, v = _turned(cos, sin, *self._velocity)
        contacts = _disc_contacts(x, y, u, v)
        if walls:
            pairs = zip(contacts, _wall_contacts(cos, sin, *self._place), strict=True)
            contacts = tuple(np.concatenate(pair) for pair in pairs)
        along, across, turning = _impulses(*contacts)
        self._twist[:2] = cos * along - sin * across, sin * along + cos * across
        self._twist[2] = turning


def _turned(cos: Array, sin: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Vectors of the table as the block sees them."""
    return cos * x + sin * y, cos * y - sin * x


# Arrays (C, N) seen from the block: normal into it (2), arm of a push along it, speed, gap.
_Contacts = tuple[Array, ...]


def _disc_contacts(x: Array, y: Array, u: Array, v: Array) -> _Contacts:
    """The disc at each box."""
    left, right, top, bottom = np.array(BOXES).T[:, :, None]
    near_x = np.minimum(np.maximum(x, left), right)
    near_y = np.minimum(np.maximum(y, top), bottom)
    dx, dy = near_x - x, near_y - y
    apart = np.sqrt(dx * dx + dy * dy)
    inside = apart < 1e-6
    scale = 1 / np.where(inside, 1, apart)
    nx, ny = dx * scale, dy * scale
    if inside.any():  # the shortest way out
        depths = np.stack([x - left, right - x, y - top, bottom - y])
        side = depths.argmin(0)
        nx = np.where(inside, np.array([1.0, -1.0, 0.0, 0.0])[side], nx)
        ny = np.where(inside, np.array([0.0, 0.0, 1.0, -1.0])[side], ny)
        apart = np.where(inside, -depths.min(0), apart)
    return nx, ny, near_x * ny - near_y * nx, u * nx + v * ny, apart - AGENT_RADIUS


def _wall_contacts(cos: Array, sin: Array, x: Array, y: Array) -> _Contacts:
    """The deepest corner at each wall."""
    across, down = CORNERS[:, :1], CORNERS[:, 1:]
    at_x, at_y = x + cos * across - sin * down, y + sin * across + cos * down
    gaps = np.stack([at_x - WALL_LOW, WALL_HIGH - at_x, at_y - WALL_LOW, WALL_HIGH - at_y])
    which = gaps.argmin(1)  # (4, N)
    nx, ny = np.stack([cos, -cos, sin, -sin]), np.stack([-sin, sin, cos, -cos])
    arm = CORNERS[which, 0] * ny - CORNERS[which, 1] * nx
    return nx, ny, arm, np.zeros_like(arm), gaps.min(1)


def _impulses(
    nx: Array, ny: Array, arm: Array, speed: Array, gap: Array
) -> tuple[Array, Array, Array]:
    """Velocity (2) and turning of blocks that contacts (C, N) give them."""
    touching = gap <= 0
    # Speed along the normal and removal of overlap are asked for, and bounded below, apart.
    wanted = np.stack([speed, np.maximum(0, -gap - _SLOP) * (_BIAS / _DT)])
    give = 1 + arm * arm / _INERTIA
    pushes = np.maximum(wanted, 0) / give * touching
    several = np.flatnonzero(touching.sum(0) > 1)
    if len(several):
        asked = np.where(touching, wanted, _NEVER)[..., several]
        parts = (part[:, several] for part in (nx, ny, arm, give))
        pushes[..., several] = _balanced(asked, *parts)
    push = pushes.sum(0)
    return (push * nx).sum(0), (push * ny).sum(0), (push * arm).sum(0) / _INERTIA


def _balanced(wanted: Array, nx: Array, ny: Array, arm: Array, give: Array) -> Array:
    """Pushes of contacts that share a block: projected Gauss-Seidel."""
    pushes = np.zeros_like(wanted)
    along, across, turning = np.zeros((3, *wanted[:, 0].shape))
    rows = np.flatnonzero((wanted[0] > _NEVER).any(1))
    for _ in range(_ITERATIONS):
        for row in rows:
            missing = wanted[:, row] - along * nx[row] - across * ny[row] - turning * arm[row]
            push = np.maximum(pushes[:, row] + missing / give[row], 0)
            change = push - pushes[:, row]
            pushes[:, row] = push
            along += change * nx[row]
            across += change * ny[row]
            turning += change * arm[row] / _INERTIA
    return pushes
