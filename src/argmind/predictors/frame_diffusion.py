"""The generative rival for video: a diffusion head on a causal transformer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.diffusion.process import Betas, Target, process_for
from argmind.diffusion.sampling import METHODS, Method, State, sample
from argmind.errors import UserError
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.nn.condition import LevelEmbedding
from argmind.nn.context import ContextState
from argmind.nn.flops import linear_flops
from argmind.nn.frames import patch_of
from argmind.predictors._frames import FrameConfig, FramePredictor
from argmind.predictors._pictures import PictureConfig, PictureReadout, PictureTrunk
from argmind.predictors._walks import answered, settled
from argmind.predictors.base import Prediction
from argmind.randomness import Randomness, normal
from argmind.registry import register
from argmind.thinking.budget import Budget


@register("predictor", "frame_diffusion")
class FrameDiffusion(FramePredictor):
    """A small diffusion transformer makes the next change, told what the stream says.

    The stream passes once, the head once a step and candidate; ``nfe`` counts the head's passes,
    and energies are how far its estimate last moved. Source: Li et al. 2024 (arXiv 2406.11838), a
    diffusion loss on continuous tokens, here with patches of a whole frame.
    """

    thinks = True

    @dataclass(frozen=True, kw_only=True)
    class Config(FrameConfig):
        head_layers: int = 2
        target: Target = "epsilon"
        betas: Betas = "linear"
        sampler: Method = "ddim"
        steps: int = 20
        clip: float | None = 2.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.sampler not in METHODS[self.target]:
                known = " or ".join(METHODS[self.target])
                raise ValueError(
                    f"a network that tells {self.target} is sampled by {known}, not by "
                    f"'{self.sampler}'"
                )
            for name in ("steps", "head_layers"):
                if getattr(self, name) < 1:
                    raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def __init__(
        self,
        config: Config,
        thinking: object,  # noqa: ARG002
        image_size: int,
        channels: int,
        frames: int,  # noqa: ARG002
        actions: int = 0,
    ) -> None:
        super().__init__(config, image_size, channels, actions)
        self.config = config
        self.sampler: Method = config.sampler
        self.process = process_for(config.target, config.betas)
        dims = config.transformer
        head = BidirectionalConfig(
            num_layers=config.head_layers, num_heads=dims.num_heads, hidden_dim=dims.hidden_dim
        )
        pictures = PictureConfig(transformer=head, patch=patch_of(image_size, config.patch))
        self.trunk = PictureTrunk(pictures, image_size, channels)
        self.readout = PictureReadout(pictures, image_size, channels)
        self.time = LevelEmbedding(dims.hidden_dim)

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

    def tell(self, x: Tensor, time: Tensor, hidden: Tensor) -> Tensor:
        """What the head says of ``x`` (R, C, H, W) or (R, N, C, H, W) at times (R,)."""
        condition = self.time(self.process.embedded(time)) + hidden
        return self.readout(self.trunk(x, condition))

    @torch.no_grad()
    def predict_from(
        self, state: ContextState, budget: Budget, generator: Randomness = None
    ) -> Prediction:
        """Make ``budget.candidates`` changes after every frame asked about; keep the most settled.

        Raises:
            UserError: zero steps.
        """
        self.check(budget)
        hidden = self.hidden(state)
        if generator is None:
            generator = torch.Generator(hidden.device).manual_seed(0)
        steps = self.config.steps if budget.steps is None else budget.steps
        count, asked = hidden.shape[:2]
        nothing = hidden.new_zeros(count, budget.candidates, asked, *self.shape)
        walk = self._walk(nothing, hidden, steps, generator)
        thought = settled(walk, nothing, 3, budget.deadline_s)
        return answered(thought, budget, bound=2)

    def _walk(
        self, nothing: Tensor, hidden: Tensor, steps: int, generator: Randomness
    ) -> Iterator[State]:
        """From pure noise (B, N, P, C, H, W), all of it in step."""
        start = self.process.most_noise(nothing)
        x = self.process.noised(nothing, normal(nothing.shape, nothing, generator), start)
        asked = hidden.shape[1]

        def network(x: Tensor, time: Tensor) -> Tensor:
            rows = x.transpose(1, 2).flatten(0, 1)
            told = self.tell(rows, time.repeat_interleave(asked), hidden.flatten(0, 1))
            return told.unflatten(0, (-1, asked)).transpose(1, 2)

        path = self.process.path(start, steps)
        return sample(network, self.process, self.sampler, x, path, generator, self.config.clip)

    def frame_flops(self, candidates: int = 1) -> float:
        """A pass of the head over one frame's candidates."""
        read = candidates * self.readout.flops()
        return self.trunk.flops(candidates) + read + linear_flops(self.time)

    def prediction_flops(self, length: int, budget: Budget) -> float:
        """One pass of the stream, and the head's."""
        steps = self.config.steps if budget.steps is None else budget.steps
        passes = 2 * steps - 1 if self.sampler == "heun" else steps
        made = passes * self.frame_flops(budget.candidates)
        return self.stream_flops(length) + length * made
