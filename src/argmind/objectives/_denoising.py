"""How diffusion models learn: telling noise, or velocities, at drawn times."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from argmind.objectives.base import Loss, Objective
from argmind.predictors.base import Predictor
from argmind.randomness import Randomness, normal

P = TypeVar("P", bound=Predictor)


class Denoising(Objective[P]):
    """``mean (told − asked)²``, asked being ε or the velocity, at a time drawn for every row.

    Source: Ho et al. 2020 (equation 14); Lipman et al. 2023.
    """

    def __init__(self, predictor: P) -> None:
        super().__init__()
        self.predictor = predictor
        self._error = self.stage(self._squared_error)

    @property
    def metric(self) -> str:
        """``epsilon_error``, ``velocity_error`` or ``clean_error``."""
        model: Any = self.predictor
        return f"{model.process.tells}_error"

    @property
    def repeats(self) -> bool:
        """Every step is the same work."""
        return True

    def asked(self, batch: dict[str, Tensor]) -> tuple[Any, Tensor]:
        """What the network is given, and the clean rows (R, …) that are noised."""
        raise NotImplementedError

    def told(self, x: Tensor, time: Tensor, given: Any, source: Randomness) -> Tensor:
        """What the network says of rows ``x`` at times (R,)."""
        raise NotImplementedError

    def predictions(self, batch: dict[str, Tensor]) -> int:
        """How many rows a batch has."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        """Mean loss of one batch."""
        value = self._error(batch, source=generator)
        return Loss(value, {self.metric: value.detach()}, self.predictions(batch))

    def _squared_error(self, batch: dict[str, Tensor], source: Randomness) -> Tensor:
        model: Any = self.predictor
        given, clean = self.asked(batch)
        time = model.process.draw(clean, source)
        noise = normal(clean.shape, clean, source)
        told = self.told(model.process.noised(clean, noise, time), time, given, source)
        return (told - model.process.target(clean, noise, time)).square().mean()
