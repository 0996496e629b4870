"""Push-T: a disc pushes a T-shaped block onto its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from argmind.policy.environments.base import (
    Environment,
    EnvironmentConfig,
    Moment,
    policy_module,
)
from argmind.registry import register

#: Numbers of a state, by what it tells of the block.
_SIZES = {"pose": 5, "keypoints": 18, "agent": 2}
#: Pixels that a hand moves the block, and how far it turns it, in radians.
_SHOVE, _TURN = (40.0, 100.0), np.pi / 4
#: Within these the block is free of the walls; this far it stays from the disc's centre.
_LOW, _HIGH, _APART = 12.0, 499.0, 30.0


@register("environment", "pusht")
class PushT(Environment):
    """Push a T onto its outline on a table of 512 pixels a side (needs the extra ``policy``).

    An action (2) is where the disc shall be; a controller pulls it there for 0.1 s. The seed
    draws where disc and block begin. Score: the share of the outline that the block covers;
    success: more than 0.95, which ends the episode. Reward: min(1, coverage / 0.95). State,
    all in pixels and radians: ``pose`` (disc, block, angle in [0, 2π)), ``keypoints`` (8 corners
    of the block, disc), ``agent`` (disc alone, to go with ``pixels=true``). Source: Chi et al.
    2023 (arXiv 2303.04137), as packaged in gym-pusht.
    """

    fps = 10.0
    action_low = np.zeros(2, dtype=np.float32)
    action_high = np.full(2, 512, dtype=np.float32)

    @dataclass(frozen=True, kw_only=True)
    class Config(EnvironmentConfig):
        state: Literal["pose", "keypoints", "agent"] = "pose"

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.state == "agent" and not self.pixels:
                raise ValueError("state agent does not show the block: it goes with pixels=true")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._shown = config.state
        self.state_size = _SIZES[config.state]
        package: Any = policy_module("gym_pusht.envs.pusht", "the environment 'pusht'")
        self._world = package.PushTEnv(obs_type="state", render_mode="rgb_array")

    @property
    def pose(self) -> NDArray[np.float64]:
        """Disc (x, y) and block (x, y, angle), whatever a state shows."""
        return np.asarray(self._world.get_obs(), dtype=np.float64)

    @property
    def velocity(self) -> NDArray[np.float64]:
        """Of the disc, in pixels a second."""
        return np.array(self._world.agent.velocity, dtype=np.float64)

    def begin(self, seed: int) -> Moment:
        """Put disc and block where the seed says."""
        self._world.reset(seed=seed)
        return self._moment(0.0, float(self._world._get_coverage()), False)

    def advance(self, action: NDArray[np.float32]) -> Moment:
        """Pull the disc towards a place for one step."""
        _, reward, success, _, facts = self._world.step(action.astype(np.float64))
        return self._moment(float(reward), float(facts["coverage"]), bool(success))

    def perturb(self, rng: np.random.Generator) -> None:
        """Shove the block by 40 to 100 pixels and turn it by up to 45 degrees."""
        block, agent = self._world.block, np.array(self._world.agent.position)
        place, angle = np.array(block.position), float(block.angle)
        while True:
            way, turn = rng.uniform(-np.pi, np.pi), rng.uniform(-_TURN, _TURN)
            shove = rng.uniform(*_SHOVE) * np.array([np.cos(way), np.sin(way)])
            block.angle = angle + turn  # first: the block turns about its centre of gravity
            block.position = tuple(place + shove)
            corners = self._corners()
            apart = min(
                shape.point_query(tuple(agent)).distance
                for shape in map(self._fresh, self._world._block_shapes)
            )
            if corners.min() >= _LOW and corners.max() <= _HIGH and apart > _APART:
                break
        self._world.space.reindex_shapes_for_body(block)

    def picture(self, size: int) -> NDArray[np.uint8]:
        """Table, outline, block and disc from above."""
        self._world.observation_width = self._world.observation_height = size
        return np.ascontiguousarray(self._world._render(), dtype=np.uint8)

    def close(self) -> None:
        """Let go of the simulation."""
        self._world.close()

    def _corners(self) -> NDArray[np.float64]:
        return np.asarray(self._world.get_keypoints(self._world._block_shapes), dtype=np.float64)

    @staticmethod
    def _fresh(shape: Any) -> Any:
        """A shape that knows where its body is now."""
        shape.cache_bb()
        return shape

    def _moment(self, reward: float, coverage: float, success: bool) -> Moment:
        pose = self.pose
        state = pose if self._shown == "pose" else pose[:2]
        if self._shown == "keypoints":
            state = np.concatenate([self._corners().ravel(), state])
        return Moment(
            state=state.astype(np.float32),
            success=success,
            score=min(1.0, coverage),
            reward=reward,
            terminated=success,
        )
