"""A rival that thinks without an energy: the same blocks, over and over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.nn.bidirectional import BidirectionalConfig, BidirectionalTransformer
from argmind.predictors._answers import Asked, Turn, TurnPredictor
from argmind.registry import register
from argmind.thinking.thinker import ThinkingConfig


@register("predictor", "looped")
class Looped(TurnPredictor):
    """``h ← trunk(h + rows)`` from zero, the problem added anew in every loop; answers ``W h``.

    ``thinking.steps`` is the number of loops trained, the budget's steps those at inference.
    ``pre_layers`` and ``post_layers`` run once, before and after the loops.
    Source: Giannou et al. 2023 and Yang et al. 2024 (looped transformers, input injection).
    """

    thinks = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: BidirectionalConfig = field(default_factory=BidirectionalConfig)
        pre_layers: int = 0
        post_layers: int = 0

        def __post_init__(self) -> None:
            for name in ("pre_layers", "post_layers"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name} may not be negative, got {getattr(self, name)}")

    def __init__(self, config: Config, thinking: ThinkingConfig, **inputs: Any) -> None:
        super().__init__(config.transformer, inputs)
        self.trained = thinking.steps
        self.before = _blocks(config.transformer, config.pre_layers)
        self.after = _blocks(config.transformer, config.post_layers)

    @property
    def trained_turns(self) -> int:
        """The loops trained (the most, where training draws their number)."""
        return self.trained

    def turns(self, problem: Asked, count: int) -> Iterator[Turn]:
        """An answer after every loop."""
        rows = self.problem(problem)
        told = self.told(rows)
        rows = self._once(self.before, rows)
        hidden = torch.zeros_like(rows)
        for loop in range(1, count + 1):
            hidden = self.trunk.under(hidden + rows, told)
            output = self.readout(self._once(self.after, hidden))
            yield Turn(output, self.answers.unsure(output.detach()), loop)

    def _once(self, blocks: BidirectionalTransformer | None, rows: Tensor) -> Tensor:
        if blocks is None:
            return rows
        return blocks(rows, self.condition.expand(len(rows), -1))

    def turns_flops(self, length: int, count: float) -> float:
        """The trunk and the read-out in every loop, and the layers after it where there are."""
        before, after = (
            0.0 if blocks is None else blocks.told_flops() + blocks.flops(length)
            for blocks in (self.before, self.after)
        )
        return self.read_flops(length) + before + count * (self.pass_flops(length) + after)


def _blocks(config: BidirectionalConfig, layers: int) -> BidirectionalTransformer | None:
    return BidirectionalTransformer(replace(config, num_layers=layers)) if layers else None
