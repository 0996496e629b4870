"""No early stop."""

from __future__ import annotations

from dataclasses import dataclass

from argmind.config import PartConfig
from argmind.registry import register
from argmind.thinking.stops.base import Stop


@register("stop", "fixed")
class Fixed(Stop):
    """Every prediction takes all the steps of its budget."""

    settles = False

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:
        pass
