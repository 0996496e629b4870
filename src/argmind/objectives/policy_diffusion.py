"""How the diffusion policy learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.energy.policy import PolicyState
from argmind.objectives._denoising import Denoising
from argmind.predictors.diffusion_policy import DiffusionPolicy
from argmind.randomness import Randomness
from argmind.registry import register


@register("objective", "policy_diffusion")
class PolicyDenoising(Denoising[DiffusionPolicy]):
    """``mean (told − ε)²`` of noised chunks of actions, at a time drawn for each.

    Source: Chi et al. 2023 (Diffusion Policy, equation 5).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, predictor: DiffusionPolicy) -> None:  # noqa: ARG002
        super().__init__(predictor)

    def asked(self, batch: dict[str, Tensor]) -> tuple[PolicyState, Tensor]:
        """What was observed, encoded, and the actions that followed."""
        problem, actions = self.predictor.task(batch)
        return self.predictor.encode(problem), actions

    def told(self, x: Tensor, time: Tensor, given: PolicyState, source: Randomness) -> Tensor:  # noqa: ARG002
        """By the network."""
        return self.predictor.tell(x[:, None], time, given)[:, 0]

    def predictions(self, batch: dict[str, Tensor]) -> int:
        """Chunks."""
        return len(batch["actions"])

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        """Three forward passes."""
        return self.predictor.training_flops(*self.predictor.extent(batch))
