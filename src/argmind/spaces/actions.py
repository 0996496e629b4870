"""Chunks of actions: what a robot does next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.config import PartConfig, part
from argmind.errors import UserError
from argmind.nn.flops import linear_flops
from argmind.nn.mlp import MLP
from argmind.nn.position import waves
from argmind.registry import register
from argmind.spaces.base import Embedding, Space, SpaceFlops


@register("space", "actions")
class ActionSpace(Space):
    """A candidate is a chunk (T, A) of actions, each a row of the model; heads pair with actions.

    A problem is a dict of observed frames, oldest first: ``state`` (B, F, Ds), ``image``
    (B, F, 3, H, W). Every thinking step begins with a chunk of unit size: its root mean square,
    taken over (T, A) of this chunk alone, is brought to 1; noise and look-ahead of the rule come
    after that. Source: EBT-Policy (whose code takes one size for the whole batch).
    """

    feature_axes = 2
    reads = "frames"
    continuous = True
    metric = "mse"

    positions: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        observation: PartConfig = part("observation", "state")
        #: Does a step begin with a chunk of unit size, or with the one at hand?
        normalise: bool = True
        #: Answers are cut off at ±clip; None: nowhere. Scaled to [−1, 1], actions end at 1.
        clip: float | None = None

        def __post_init__(self) -> None:
            if self.clip is not None and not self.clip > 0:
                raise ValueError(f"clip must be positive, got {self.clip}")

    def __init__(
        self,
        config: Config,
        dim: int,
        action_size: int,
        chunk: int,
        frames: int,
        observations: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__()
        if dim % 2:
            raise UserError(f"positions in a chunk need an even hidden_dim, got {dim}.")
        self.config, self.frames, self.chunk = config, frames, chunk
        self.pair_dim = action_size
        self.observation = config.observation.build(dim, observations)
        self.candidate = MLP(action_size, dim, dim)
        wanted = self.candidate.w1.weight.dtype
        self.register_buffer("positions", waves(chunk, dim).to(wanted), persistent=False)

    @property
    def body_inputs(self) -> dict[str, int]:
        """How many frames are observed."""
        return {"frames": self.frames}

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """What was observed, and the actions that followed."""
        problem = {name: rows for name, rows in batch.items() if name != "actions"}
        return problem, batch["actions"]

    def embed_context(self, context: dict[str, Tensor]) -> Tensor:
        """A row (B, F, D) for every observed frame."""
        return self.observation(context)

    def extent(self, problem: dict[str, Tensor]) -> tuple[int, int]:
        """How many problems, and actions each."""
        return len(next(iter(problem.values()))), self.chunk

    def feature_shape(self) -> tuple[int, ...]:
        """(T, A)."""
        return self.chunk, self.pair_dim or 0

    def begin(self, y: Tensor) -> Tensor:
        """``y / rms(y)``."""
        return unit_size(y) if self.config.normalise else y

    def embed(self, point: Tensor) -> Embedding:
        """A row per action with its place in the chunk, and the actions."""
        return Embedding(self.candidate(point) + self.positions, point)

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """``point − δ``."""
        return point - delta

    def ideal(self, target: Tensor) -> Tensor:
        """The actions, as the model's numbers."""
        return target.to(self.candidate.w1.weight)

    def decode(self, y: Tensor) -> Tensor:
        """The actions."""
        clip = self.config.clip
        return y if clip is None else y.clamp(-clip, clip)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """Loss of candidates as they are: beyond the bounds there must be a way back."""
        return self.output_loss(y, target[:, None].expand_as(y))

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean squared error over actions and their entries."""
        return F.mse_loss(output, target.to(output), reduction="none").mean((-2, -1))

    def counts(self, target: Tensor) -> Tensor:
        """Every chunk (B,) is learnt."""
        return torch.ones(len(target), dtype=torch.bool, device=target.device)

    def flops(self) -> SpaceFlops:
        """Embedding an action: the first layer alone reads it as it is."""
        embed, entry = linear_flops(self.candidate), linear_flops(self.candidate.w1)
        return SpaceFlops(embed=embed, entry=entry, context=self.frames * self.observation.flops())


def unit_size(y: Tensor) -> Tensor:
    """Chunks (..., T, A) each over its own root mean square; nothing stays nothing."""
    wide = y.to(torch.promote_types(y.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.square().mean((-2, -1), keepdim=True) + 1e-8)).to(y.dtype)
