"""The diffusion transformer, and how it answers the image problems that energy models do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor

from argmind.diffusion.noise_level import noise_level
from argmind.diffusion.process import Betas, Target, column, process_for
from argmind.diffusion.sampling import METHODS, Hold, Method, State, as_it_is, sample
from argmind.diffusion.schedulers import find_scheduler, sample_by_scheduler
from argmind.errors import UserError
from argmind.nn.condition import LevelEmbedding
from argmind.nn.flops import linear_flops
from argmind.predictors._pictures import (
    PictureConfig,
    PicturePredictor,
    PictureReadout,
    PictureTrunk,
)
from argmind.predictors._walks import answered, settled
from argmind.predictors.base import Prediction
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.thinking.budget import Budget


@register("predictor", "dit")
class DiT(PicturePredictor):
    """A transformer that tells the noise (or velocity) of noisy images, given time and class.

    A noisy image is taken up at the time of its noise level, known or estimated, and walked to
    clean in the budget's steps (one step: the network's own estimate); where nothing is given the
    walk is from pure noise; inpainting is such a walk with the known pixels, noised, put back after
    each step. Unlike the published model it does not tell variances.

    Having no energy, it reports the mean square of its estimate's last change: is the answer
    settled? ``nfe`` counts passes of the network, two of them a step under guidance. ``sampler``
    and ``guidance`` may be changed after training.
    Source: Peebles & Xie 2023 (arXiv 2212.09748); Ho & Salimans 2022 (guidance); Lugmayr et al.
    2022 (RePaint, without its resampling).
    """

    thinks = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PictureConfig):
        #: What the network tells: the noise of a DDPM process, or the velocity of a flow.
        target: Target = "epsilon"
        betas: Betas = "linear"
        #: ddpm, ddim (epsilon); euler, heun (velocity); or a scheduler of diffusers by its name.
        sampler: str = "ddim"
        steps: int = 50
        #: Classifier-free guidance: 1 is none, more is more of the class.
        guidance: float = 1.0
        #: Estimates of the clean image are kept within ± this.
        clip: float | None = 1.0
        #: How given images were noised: clean + σ ε, or √(1 − σ²) clean + σ ε.
        noise: Literal["added", "ddpm"] = "added"

        def __post_init__(self) -> None:
            super().__post_init__()
            known = METHODS[self.target]
            if self.sampler not in known and not self.sampler.endswith("Scheduler"):
                raise ValueError(
                    f"a network that tells {self.target} is sampled by {' or '.join(known)}, or by "
                    f"a scheduler of diffusers, not by '{self.sampler}'"
                )
            if self.steps < 1:
                raise ValueError(f"steps must be at least 1, got {self.steps}")
            if self.clip is not None and not self.clip > 0:
                raise ValueError(f"clip must be positive, got {self.clip}")
            if self.guidance != 1 and not self.tell_label:
                raise ValueError("guidance needs a model that is told the class: set tell_label")

    def __init__(
        self,
        config: Config,
        thinking: object,  # noqa: ARG002
        image_size: int,
        channels: int,
        classes: int = 0,
    ) -> None:
        super().__init__(config, channels, image_size, classes)
        if config.guidance != 1 and not classes:
            raise UserError("guidance leads towards a class, and the data have no classes.")
        self.config, self.sampler, self.guidance = config, config.sampler, config.guidance
        self.process = process_for(config.target, config.betas)
        if config.sampler.endswith("Scheduler"):
            find_scheduler(config.sampler, self.process)  # refused before training, not after
        self.trunk = PictureTrunk(config, image_size, channels)
        self.readout = PictureReadout(config, image_size, channels)
        self.time = LevelEmbedding(config.transformer.hidden_dim)

    # -------------------------------------------------------------- the network

    def tell(self, x: Tensor, time: Tensor, problem: Mapping[str, Tensor]) -> Tensor:
        """What the network says of ``x`` (B, C, H, W) or (B, N, C, H, W) at times (B,)."""
        condition = self.time(self.process.embedded(time)) + self.told_label(problem, len(x))
        return self.readout(self.trunk(x, condition))

    def _guided(self, x: Tensor, time: Tensor, problem: Mapping[str, Tensor]) -> Tensor:
        """``u + guidance · (c − u)`` of what is said with the class (c) and without it (u)."""
        told = self.tell(x, time, problem)
        if not self._guides(problem):
            return told
        untold = {name: tensor for name, tensor in problem.items() if name != "label"}
        plain = self.tell(x, time, untold)
        return plain + self.guidance * (told - plain)

    def _guides(self, problem: Mapping[str, Tensor]) -> bool:
        return self.guidance != 1 and "label" in problem

    # -------------------------------------------------------------- answers

    @property
    def trained_steps(self) -> int:
        """Those of its configuration: training has none."""
        return self.config.steps

    def check(self, budget: Budget) -> None:
        """At least one step.

        Raises:
            UserError: there is none.
        """
        if budget.steps == 0:
            raise UserError("a diffusion model needs at least 1 step: ask for --steps 1 or more.")

    @torch.no_grad()
    def predict_from(
        self, state: Mapping[str, Tensor], budget: Budget, generator: Randomness = None
    ) -> Prediction:
        """Walk ``budget.candidates`` images to clean, and keep the most settled.

        Without a generator, draws come from one seeded with 0.

        Raises:
            UserError: zero steps, or a sampler that cannot do this.
        """
        self.check(budget)
        steps = self.config.steps if budget.steps is None else budget.steps
        if generator is None:
            generator = torch.Generator(self.trunk.condition.device).manual_seed(0)
        walk = self._walk(state, steps, budget.candidates, generator)
        offered = self._offered(state, budget.candidates)
        walked = settled(walk, offered, 3, budget.deadline_s)
        thought = replace(walked, nfe=walked.nfe * (2 if self._guides(state) else 1))
        return answered(thought, budget)

    def _offered(self, problem: Mapping[str, Tensor], candidates: int) -> Tensor:
        """What there is before the first step: (B, N, C, H, W), grey where nothing is given."""
        weight = self.trunk.condition
        count = self.extent(problem)[0]
        nothing = torch.zeros(count, *self.shape, device=weight.device, dtype=weight.dtype)
        offered = problem.get("given", nothing)
        return offered[:, None].expand(-1, candidates, *self.shape)

    def _walk(
        self, problem: Mapping[str, Tensor], steps: int, candidates: int, generator: Randomness
    ) -> Iterator[State]:
        """From where the problem puts its images; what it knows of them is held in place."""
        offered = self._offered(problem, candidates)
        if "known" in problem:
            hold = self._holding(problem["known"][:, None], offered, generator)
        else:
            hold = as_it_is
        if "given" in problem and "known" not in problem:
            x, start = self._taken_up(problem, offered)
        else:
            start = self.process.most_noise(offered)
            noise = normal(offered.shape, offered, generator)
            x = hold(self.process.noised(torch.zeros_like(noise), noise, start), start)

        def network(x: Tensor, time: Tensor) -> Tensor:
            return self._guided(x, time, problem)

        clip = self.config.clip
        if self.sampler.endswith("Scheduler"):
            return sample_by_scheduler(
                network, self.process, self.sampler, x, start, steps, generator, clip, hold
            )
        path, method = self.process.path(start, steps), cast(Method, self.sampler)
        return sample(network, self.process, method, x, path, generator, clip, hold)

    def _holding(self, known: Tensor, right: Tensor, generator: Randomness) -> Hold:
        """Put the known entries of ``right`` back, with a time's noise where there is a time."""

        def hold(x: Tensor, time: Tensor | None) -> Tensor:
            if time is None:
                return torch.where(known, right, x)
            noise = normal(x.shape, x, generator)
            return torch.where(known, self.process.noised(right, noise, time), x)

        return hold

    def _taken_up(self, problem: Mapping[str, Tensor], offered: Tensor) -> tuple[Tensor, Tensor]:
        """Given images as the process would have them at the times (B,) of their noise."""
        level = problem["level"] if "level" in problem else noise_level(problem["given"])
        kept = torch.ones_like(level)
        if self.config.noise == "ddpm":
            kept = (1 - level.square()).clamp(min=1e-6).sqrt()
        start = self.process.time_of(level / kept)
        scale = self.process.scales(start, offered).data / column(kept, offered)
        return scale * offered, start

    # -------------------------------------------------------------- cost

    def pass_flops(self, candidates: int = 1) -> float:
        """The trunk and the read-out for every candidate, and what they are told."""
        read = candidates * self.readout.flops()
        return self.trunk.flops(candidates) + read + linear_flops(self.time)

    def prediction_flops(self, length: int, budget: Budget) -> float:  # noqa: ARG002
        """Passes of all candidates; the most, where guidance may join or few times are left."""
        steps = self.config.steps if budget.steps is None else budget.steps
        passes = 2 * steps - 1 if self.sampler == "heun" else steps
        return passes * (1 + (self.guidance != 1)) * self.pass_flops(budget.candidates)
