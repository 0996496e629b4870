"""Diffusion Policy with a transformer: the rival that draws chunks of actions from noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from argmind.diffusion.process import Betas, VariancePreserving
from argmind.diffusion.sampling import METHODS, Method, State, sample
from argmind.diffusion.schedulers import find_scheduler, sample_by_scheduler
from argmind.energy.policy import PolicyState
from argmind.errors import UserError
from argmind.nn.flops import TRAINED, linear_flops
from argmind.nn.position import waves
from argmind.nn.self_attention import KeysValues
from argmind.predictors._chunks import ChunkPolicy, ChunkPolicyConfig
from argmind.predictors._walks import answered, settled
from argmind.predictors.base import Prediction
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.thinking.budget import Budget


@register("predictor", "diffusion_policy")
class DiffusionPolicy(ChunkPolicy):
    """Tells the noise in a chunk of actions, given what was observed; walks from noise to actions.

    The time of a walk is a row that every action looks at, before the frames. Variances are the
    posterior's ("fixed_small"), times of fewer steps are spaced to begin at pure noise. ``nfe``
    counts passes; having no energy, it reports how far its estimate last moved. ``sampler`` may be
    changed after training. Source: Chi et al. 2023 (arXiv 2303.04137), transformer variant.
    """

    thinks = True

    times: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Config(ChunkPolicyConfig):
        #: Times that data is noised over, and steps of a budget that does not say how many.
        steps: int = 100
        betas: Betas = "cosine"
        #: ddpm or ddim, or a scheduler of diffusers by its name; auto: ddpm where there is a step
        #: for every time, and ddim in fewer.
        sampler: str = "auto"
        #: Estimates of actions are kept within ± this: 1 holds what is scaled to [-1, 1].
        clip: float | None = 1.0

        def __post_init__(self) -> None:
            known = ("auto", *METHODS["epsilon"])
            if self.sampler not in known and not self.sampler.endswith("Scheduler"):
                raise ValueError(
                    f"sampler must be {', '.join(known)} or a scheduler of diffusers, got "
                    f"'{self.sampler}'"
                )
            if self.steps < 1:
                raise ValueError(f"steps must be at least 1, got {self.steps}")
            if self.clip is not None and not self.clip > 0:
                raise ValueError(f"clip must be positive, got {self.clip}")

    def __init__(
        self,
        config: Config,
        thinking: object,  # noqa: ARG002
        action_size: int,
        chunk: int,
        frames: int,
        observations: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__(config, action_size, chunk, frames, observations, told=1)
        dim = config.transformer.hidden_dim
        if dim % 2:
            raise UserError(f"a time is told in an even hidden_dim, got {dim}.")
        self.config, self.sampler = config, config.sampler
        self.process = VariancePreserving(config.betas, config.steps)
        if config.sampler.endswith("Scheduler"):
            find_scheduler(config.sampler, self.process)  # refused before training, not after
        self.candidate = nn.Linear(action_size, dim)
        nn.init.normal_(self.candidate.weight, std=0.02)
        nn.init.zeros_(self.candidate.bias)
        told = waves(config.steps, dim).to(self.candidate.weight.dtype)
        self.register_buffer("times", told, persistent=False)

    # -------------------------------------------------------------- the network

    def tell(self, x: Tensor, time: Tensor, state: PolicyState) -> Tensor:
        """The noise in chunks ``x`` (B, N, L, A) at times (B,)."""
        row = self.reading(self.times[time.long()][:, None], first=0)
        pairs = zip(self.transformer.keys_values(row), state.seen, strict=True)
        seen = [KeysValues(*map(_joined, told, frames)) for told, frames in pairs]
        return self.acted(self.candidate(x), seen)

    # -------------------------------------------------------------- answers

    @property
    def trained_steps(self) -> int:
        """One for every time."""
        return self.config.steps

    def check(self, budget: Budget) -> None:
        """At least one step.

        Raises:
            UserError: there is none.
        """
        if budget.steps == 0:
            raise UserError("a diffusion policy needs at least 1 step: ask for --steps 1 or more.")

    @torch.no_grad()
    def predict_from(
        self, state: PolicyState, budget: Budget, generator: Randomness = None
    ) -> Prediction:
        """Draw ``budget.candidates`` chunks, and keep the most settled.

        Without a generator, draws come from one seeded with 0.

        Raises:
            UserError: zero steps, or a sampler that cannot do this.
        """
        self.check(budget)
        weight = self.candidate.weight
        if generator is None:
            generator = torch.Generator(weight.device).manual_seed(0)
        count = state.seen[0].keys.shape[0]
        nothing = weight.new_zeros(count, budget.candidates, *self.shape)
        walk = self._walk(nothing, state, self._steps(budget), generator)
        thought = settled(walk, nothing, 2, budget.deadline_s)
        return answered(thought, budget, self.config.clip or math.inf)

    def _walk(
        self, nothing: Tensor, state: PolicyState, steps: int, generator: Randomness
    ) -> Iterator[State]:
        """From pure noise (B, N, L, A), all of it in step."""
        start = self.process.most_noise(nothing)
        x = self.process.noised(nothing, normal(nothing.shape, nothing, generator), start)
        process, clip = self.process, self.config.clip

        def network(x: Tensor, time: Tensor) -> Tensor:
            return self.tell(x, time, state)

        if self.sampler.endswith("Scheduler"):
            return sample_by_scheduler(
                network, process, self.sampler, x, start, steps, generator, clip
            )
        path = process.path(start, steps)
        return sample(network, process, self._method(steps), x, path, generator, clip)

    def _method(self, steps: int) -> Method:
        if self.sampler == "auto":
            return "ddim" if steps < self.config.steps else "ddpm"
        return cast(Method, self.sampler)

    def _steps(self, budget: Budget) -> int:
        return self.config.steps if budget.steps is None else budget.steps

    # -------------------------------------------------------------- cost

    def pass_flops(self, candidates: int = 1) -> float:
        """One pass over candidates of one problem, and what they are told of the time."""
        each = self.acted_flops() + self.shape[0] * linear_flops(self.candidate)
        return self.read_flops(1) + candidates * each

    def training_flops(self, sequences: int, length: int) -> float:  # noqa: ARG002
        """Three forward passes, at one time."""
        return TRAINED * sequences * (self.encode_flops() + self.pass_flops())

    def prediction_flops(self, length: int, budget: Budget) -> float:  # noqa: ARG002
        """Reading the frames, and a pass of all candidates a step."""
        return self.encode_flops() + self._steps(budget) * self.pass_flops(budget.candidates)


def _joined(told: Tensor, frames: Tensor) -> Tensor:
    """Keys or values (B, H, S, d), one behind the other."""
    return torch.cat([told, frames], dim=2)
