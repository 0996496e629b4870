"""How diffusion transformers learn."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.objectives._denoising import Denoising
from argmind.predictors.dit import DiT
from argmind.randomness import Randomness, uniform
from argmind.registry import register


@register("objective", "diffusion")
class Diffusion(Denoising[DiT]):
    """``mean (told − asked)²``, asked being ε or the velocity, at times drawn per image.

    It learns from clean images, whatever is given of them. Some labels are withheld, so that the
    network knows what to say without one (guidance). Source: Ho et al. 2020 (equation 14); Lipman
    et al. 2023; Ho & Salimans 2022.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        withheld_labels: float = 0.1

        def __post_init__(self) -> None:
            if not 0 <= self.withheld_labels < 1:
                raise ValueError(f"withheld_labels must lie in [0, 1), got {self.withheld_labels}")

    def __init__(self, config: Config, predictor: DiT) -> None:
        super().__init__(predictor)
        self.config = config

    def asked(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """What is told beside the image, and the clean one."""
        return self.predictor.task(batch)

    def told(self, x: Tensor, time: Tensor, given: dict[str, Tensor], source: Randomness) -> Tensor:
        """By the network, some labels withheld."""
        if "label" in given and self.config.withheld_labels:
            withheld = uniform((len(x),), x, source) < self.config.withheld_labels
            given = {**given, "label": given["label"].masked_fill(withheld, -1)}
        return self.predictor.tell(x, time, given)

    def predictions(self, batch: dict[str, Tensor]) -> int:
        """Images."""
        return len(batch["clean"])

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes an image."""
        return self.predictor.training_flops(len(batch["clean"]), 0)
