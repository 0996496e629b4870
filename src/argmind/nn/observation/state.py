"""Numbers that describe the world: positions, angles, keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.nn.flops import linear_flops
from argmind.nn.observation.base import ObservationEncoder, Observations, asked, size_of
from argmind.registry import register


@register("observation", "state")
class StateEncoder(ObservationEncoder):
    """``W state + b`` of each frame; whatever else is observed is not read.

    Source: EBT-Policy's public code.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int, observations: Observations) -> None:
        super().__init__()
        self.size = size_of(observations, "state", config.part_name)
        self.linear = nn.Linear(self.size[0], dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, problem: Mapping[str, Tensor]) -> Tensor:
        """(B, F, D)."""
        return self.linear(asked(problem, "state", self.size).to(self.linear.weight))

    def flops(self) -> float:
        """``2 Ds D``."""
        return linear_flops(self.linear)
