"""What comes next in a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.nn.frames import FrameContext, FrameEmbedding, FrameReadout, frames_and_changes
from argmind.registry import register
from argmind.spaces.base import Embedding, Readout, Space, SpaceFlops
from argmind.spaces.image import PixelLoss, pixel_loss, psnr


@register("space", "frames")
class FrameSpace(Space):
    """A candidate is the change (C, H, W) from a frame to the next, seen as one row.

    Nothing changing is the start ``zeros``. Heads pair with the F pixels; an energy is taken for a
    mean over them (head ``quadratic`` with ``reduction=mean``), so a step is F times its gradient.
    """

    feature_axes = 3
    continuous = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        patch: int = 4
        loss: PixelLoss = "smooth_l1"
        #: Are changes embedded by weights of their own, or by those of frames and a vector of own?
        candidate_embedding: Literal["own", "context"] = "own"
        #: Can thinking start from a first guess of its own (``thinking.start=amortised``)?
        guesses: bool = True

        def __post_init__(self) -> None:
            if self.patch < 1:
                raise ValueError(f"patch must be at least 1, got {self.patch}")

    def __init__(
        self,
        config: Config,
        dim: int,
        image_size: int,
        channels: int,
        frames: int,
        actions: int = 0,
    ) -> None:
        super().__init__()
        self.config, self.metric, self.amortises = config, config.loss, config.guesses
        self.shows, self.frames = config.guesses, frames
        self.shape = (channels, image_size, image_size)
        self.pixels = self.pair_dim = channels * image_size**2
        self.context = FrameContext(image_size, channels, actions, config.patch, dim)
        self.candidate = self.change = None
        if config.candidate_embedding == "own":
            self.candidate = FrameEmbedding(image_size, channels, config.patch, dim)
        else:
            self.change = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        self.guess = None
        if config.guesses:
            self.guess = FrameReadout(image_size, channels, config.patch, dim)

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Every frame but the last, and the change after each."""
        return frames_and_changes(batch)

    def embed_context(self, context: dict[str, Tensor]) -> Tensor:
        """Frames, and actions, as rows (B, S, D)."""
        return self.context(context)

    def shown(self, context: dict[str, Tensor]) -> Tensor:
        """The changes so far, NaN to frames that nobody saw (``imagined`` (B, S) bool)."""
        change = context["frames"].diff(dim=1)
        if "imagined" not in context:
            return change
        return change.masked_fill(context["imagined"][:, 1:, None, None, None], torch.nan)

    def extent(self, problem: dict[str, Tensor]) -> tuple[int, int]:
        """How many clips, and frames each."""
        count, length = problem["frames"].shape[:2]
        return count, length

    def feature_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.shape

    def amortised(self, hidden: Tensor) -> Tensor:
        """A change from the context stream's output."""
        return super().amortised(hidden) if self.guess is None else self.guess(hidden)

    @property
    def guess_readout(self) -> Readout | None:
        """From rows to pixels."""
        guess = self.guess
        return None if guess is None else lambda hidden: guess(hidden).flatten(-3)

    def embed(self, point: Tensor) -> Embedding:
        """A row, and the pixels."""
        return Embedding(self._row(point), point.flatten(-3), self.guess_readout)

    def _row(self, point: Tensor) -> Tensor:
        if self.candidate is not None:
            return self.candidate(point)
        assert self.change is not None  # the only other way
        return self.context.frames(point) + self.change

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """``y − F δ``."""
        return y - self.pixels * delta

    def decode(self, y: Tensor) -> Tensor:
        """The change, which lies within [−2, 2]."""
        return y.clamp(-2, 2)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """Loss of candidates as they are: beyond the box there must be a way back."""
        return self.output_loss(y, target[:, None].expand_as(y))

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over pixels."""
        return pixel_loss(output, target, self.config.loss)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Peak signal-to-noise ratio in dB."""
        return {"psnr": psnr(output, target)}

    def counts(self, target: Tensor) -> Tensor:
        """Every frame (B, S) is learnt."""
        return torch.ones(target.shape[:2], dtype=torch.bool, device=target.device)

    def flops(self) -> SpaceFlops:
        """Embedding a frame, a first guess of one, and reading a clip of the trained length."""
        embed, read = self.context.frames.flops(), (self.frames - 1) * self.context.flops()
        start = 0.0 if self.guess is None else self.guess.flops()
        return SpaceFlops(start=start, embed=embed, entry=embed, context=read)
