"""No step conditioning."""

from __future__ import annotations

from dataclasses import dataclass

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Conditioning
from argmind.registry import register


@register("conditioning", "none")
class NoConditioning(Conditioning):
    """Every step descends the same landscape (the paper's ``default``)."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int, num_layers: int, landscapes: int) -> None:  # noqa: ARG002
        super().__init__(1)
