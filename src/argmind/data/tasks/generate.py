"""Images out of nothing."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.data.base import Batch
from argmind.data.draws import RowDraws
from argmind.data.tasks.base import Task
from argmind.registry import register


@register("task", "generate")
class Generate(Task):
    """Nothing is given but, where there are classes, the class."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:
        pass

    def problems(self, clean: Tensor, draws: RowDraws) -> Batch:  # noqa: ARG002
        """Nothing."""
        return {}
