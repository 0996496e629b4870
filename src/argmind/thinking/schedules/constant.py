"""One step size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.thinking.schedules.base import Schedule, Sizes, require_positive


@register("schedule", "constant")
class Constant(Schedule):
    """The same size at every step."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        size: float = 1.0

        def __post_init__(self) -> None:
            require_positive(size=self.size)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.size = config.size

    def sizes(
        self,
        predictions: torch.Size,  # noqa: ARG002
        like: Tensor,  # noqa: ARG002
        generator: Randomness,  # noqa: ARG002
        noisy: bool,  # noqa: ARG002
    ) -> Sizes:
        """``α``."""
        return lambda step: self.size  # noqa: ARG005
