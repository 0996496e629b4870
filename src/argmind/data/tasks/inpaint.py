"""Images with a part hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.data.base import Batch
from argmind.data.draws import RowDraws
from argmind.data.tasks.base import Task
from argmind.registry import register


@register("task", "inpaint")
class Inpaint(Task):
    """A box anywhere, or one half, is hidden: what is given is 0 (mid-grey) there."""

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        hide: Literal["box", "half"] = "box"
        least: float = 0.25  # shortest side of a box, as a share of the image's
        most: float = 0.5  # longest side of a box

        def __post_init__(self) -> None:
            if not 0 < self.least <= self.most < 1:
                raise ValueError(
                    f"sides of boxes need 0 < least <= most < 1, got {self.least} and {self.most}"
                )

    def __init__(self, config: Config) -> None:
        self.config = config

    def problems(self, clean: Tensor, draws: RowDraws) -> Batch:
        """``given`` as ``clean``, and ``known`` (B, 1, H, W): which pixels it still has."""
        height, width = clean.shape[-2:]
        drawn = draws.uniform(4)
        if self.config.hide == "box":
            rows, columns = self._side(drawn[:, :2], height), self._side(drawn[:, 2:], width)
        else:
            rows, columns = _halves(drawn[:, 0], height, width)
        known = ~(rows[:, :, None] & columns[:, None, :])[:, None]
        return {"given": clean * known, "known": known}

    def _side(self, drawn: Tensor, length: int) -> Tensor:
        """Which of ``length`` rows or columns (B, length) the box covers."""
        share = self.config.least + (self.config.most - self.config.least) * drawn[:, :1]
        size = (share * length).round().clamp(1, max(1, length - 1))
        first = (drawn[:, 1:] * (length - size + 1)).floor()
        places = torch.arange(length)
        return (places >= first) & (places < first + size)


def _halves(drawn: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Top, bottom, left or right, as rows (B, H) and columns (B, W)."""
    side = (drawn * 4).long()[:, None]
    upper, left = torch.arange(height) < height // 2, torch.arange(width) < width // 2
    rows = ((side == 0) & upper) | ((side == 1) & ~upper) | (side >= 2)
    columns = ((side == 2) & left) | ((side == 3) & ~left) | (side < 2)
    return rows, columns
