"""Plain gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from argmind.config import PartConfig
from argmind.registry import register
from argmind.thinking.rules.base import Rule


@register("rule", "gradient")
class Gradient(Rule):
    """``δ = α ∇E``."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:
        pass
