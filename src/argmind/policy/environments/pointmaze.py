"""PointMaze with a block in the middle: two mirrored routes to the goal (gymnasium-robotics)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.policy.environments._canvas import AGENT, GOAL, TRAIL, WALL, Canvas
from argmind.policy.environments.base import Environment, EnvironmentConfig, Moment, policy_module
from argmind.registry import register

#: The maze: 1 wall, r where the ball starts, g where the goal is; its middle is the origin. The
#: block is hollow below: the average of both ways ends in there.
MAZE: tuple[tuple[int | str, ...], ...] = (
    (1, 1, 1, 1, 1, 1, 1),
    (1, 0, 0, "g", 0, 0, 1),
    (1, 0, 1, 1, 1, 0, 1),
    (1, 0, 1, 0, 1, 0, 1),
    (1, 0, 0, 0, 0, 0, 1),
    (1, 0, 0, 0, 0, 0, 1),
    (1, 0, 0, "r", 0, 0, 1),
    (1, 1, 1, 1, 1, 1, 1),
)
#: The lanes beside the block: how far from the middle, from where to where.
LANE, LANE_FROM, LANE_TO = 2.0, -0.5, 2.5
#: Radii of the ball and of the goal.
_BALL, _GOAL = 0.1, 0.45
#: Blocks are drawn larger by this much, so that no gap shows between them.
_SEAM = 0.03
#: An upset ball is put at most this far away.
_SHOVE = 1.0


@register("environment", "pointmaze")
class PointMaze(Environment):
    """A ball is pushed round a block, left or right, to a goal, in MuJoCo (extra ``policy``).

    ``PointMaze-v3`` of gymnasium-robotics on a map of its own; an action is a force, a step 10 ms,
    and the goal is reached within 0.45. Start and goal move by up to 0.25 a side with the seed.
    State: position, velocity, goal (2 each).
    """

    fps = 100.0
    state_size = 6
    action_low = np.full(2, -1, dtype=np.float32)
    action_high = np.full(2, 1, dtype=np.float32)

    @dataclass(frozen=True, kw_only=True)
    class Config(EnvironmentConfig):
        pass

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        package: Any = policy_module(
            "gymnasium_robotics.envs.maze.point_maze", "the environment 'pointmaze'"
        )
        maze = [list(row) for row in MAZE]
        self._world = package.PointMazeEnv(maze_map=maze, continuing_task=False)
        # The package writes its model to a file and leaves it.
        Path(self._world.tmp_xml_file_path).unlink(missing_ok=True)

    def begin(self, seed: int) -> Moment:
        """Put ball and goal into their cells."""
        seen, facts = self._world.reset(seed=seed)
        self._route, self._trail = "", [seen["achieved_goal"]]
        return self._moment(seen, facts["success"])

    def advance(self, action: NDArray[np.float32]) -> Moment:
        """Push for 10 ms."""
        seen, _, _, _, facts = self._world.step(action)
        across, along = seen["achieved_goal"]
        if abs(across) > 1 and LANE_FROM < along < LANE_TO:
            self._route = "left" if across < 0 else "right"
        self._trail.append(seen["achieved_goal"])
        return self._moment(seen, facts["success"])

    def perturb(self, rng: np.random.Generator) -> None:
        """Put the ball elsewhere, at most 1 away and clear of walls, and stop it."""
        ball = self._world.point_env
        while True:
            place = ball.data.qpos + rng.uniform(-_SHOVE, _SHOVE, 2)
            if self._free(place):
                ball.set_state(place, np.zeros(2))
                return

    def picture(self, size: int) -> NDArray[np.uint8]:
        """The maze from above."""
        return self._drawn(_walls(size).copy())

    def drawing(self, size: int) -> NDArray[np.uint8]:
        """The same with the way so far."""
        canvas = _walls(size).copy()
        canvas.line(self._trail, 0.06, TRAIL)
        return self._drawn(canvas)

    def _drawn(self, canvas: Canvas) -> NDArray[np.uint8]:
        canvas.disc(self._world.goal, _GOAL / 2, GOAL)
        canvas.disc(self._world.point_env.data.qpos, 1.5 * _BALL, AGENT)
        return canvas.pixels

    def close(self) -> None:
        """Let go of the simulation."""
        self._world.close()

    @staticmethod
    def _free(place: NDArray[np.float64]) -> bool:
        """Do all corners round the ball lie in free cells?"""
        for corner in np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) * 1.2 * _BALL:
            column, row = np.floor((place + corner) * (1, -1) + (len(MAZE[0]) / 2, len(MAZE) / 2))
            inside = 0 <= row < len(MAZE) and 0 <= column < len(MAZE[0])
            if not inside or MAZE[int(row)][int(column)] == 1:
                return False
        return True

    def _moment(self, seen: dict[str, NDArray[np.float64]], success: bool) -> Moment:
        state = np.concatenate([seen["observation"], seen["desired_goal"]])
        return Moment(
            state=state.astype(np.float32),
            success=success,
            reward=float(success),
            terminated=success,
            info={"route": self._route},
        )


@lru_cache(maxsize=4)
def _walls(size: int) -> Canvas:
    """The empty maze."""
    high = np.array([len(MAZE[0]), len(MAZE)]) / 2
    canvas = Canvas(size, -high, high)
    for row, cells in enumerate(MAZE):
        for column, cell in enumerate(cells):
            corner = np.array([column - high[0], high[1] - 1 - row])
            if cell == 1:
                canvas.box(corner - _SEAM, corner + 1 + _SEAM, WALL)
    return canvas
