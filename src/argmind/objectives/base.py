"""What every objective is: a module whose forward turns a batch into a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from argmind.objectives.stage import Stage
from argmind.randomness import Randomness

R = TypeVar("R")
P = TypeVar("P", bound=nn.Module)


class Loss(NamedTuple):
    """Mean loss of a batch, what to log beside it, and how many predictions it is a mean of."""

    value: Tensor
    metrics: dict[str, Tensor]
    predictions: int


class Objective(nn.Module, Generic[P]):
    """How a predictor learns; the unit that distributed wrappers wrap.

    All randomness comes from the generator that is passed in. In ``eval()`` mode ``forward`` must
    leave the runtime state as it is.
    """

    #: The predictor being trained: its weights are what a checkpoint's model file holds.
    predictor: P

    def __init__(self) -> None:
        super().__init__()
        #: The parts of the work that can be compiled; together they are all that takes time.
        self.stages: list[Stage[Any]] = []

    def stage(self, function: Callable[..., R]) -> Stage[R]:
        """Make a method a part of the work that can be compiled."""
        made = Stage(function)
        self.stages.append(made)
        return made

    @property
    def repeats(self) -> bool:
        """Is the work the same in every step, but for the numbers? Then it may be recorded."""
        return False

    @property
    def metric(self) -> str:
        """What the loss of held-out data is called; the lower, the better the checkpoint."""
        return getattr(self.predictor, "metric", "loss")

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss of one micro-batch; ``value`` is 0-d with its graph, metrics are detached 0-d."""
        raise NotImplementedError

    def trial(self, batch: dict[str, Tensor], source: Randomness) -> Loss:
        """The training loss of a batch, with no runtime state used or changed; ``stages`` do it."""
        return self(batch, source)

    def evaluate(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Loss on held-out data, called in ``eval()`` mode; the training loss unless overridden."""
        return self(batch, generator)

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Model FLOPs of learning from this batch."""
        raise NotImplementedError

    def runtime_state(self) -> dict[str, Tensor]:
        """What lives on between steps beside the weights, such as a replay buffer."""
        return {}

    def load_runtime_state(self, state: dict[str, Tensor]) -> None:
        """Take up a state given by :meth:`runtime_state`."""
        if state:
            raise ValueError(f"{type(self).__name__} has no runtime state, got {sorted(state)}")
