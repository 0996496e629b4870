"""Images, and anything else that is a grid of numbers in [−1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.errors import UserError
from argmind.nn.condition import LabelEmbedding, LevelEmbedding
from argmind.nn.flops import linear_flops
from argmind.nn.patches import PatchEmbedding, patchify, unpatchify
from argmind.registry import register
from argmind.spaces.base import Embedding, Given, Space, SpaceFlops, Whole

#: What of a batch is part of the problem; the rest is the answer.
ASKED = ("given", "known", "level", "label")

PixelLoss = Literal["smooth_l1", "mse"]


@register("space", "image")
class ImageSpace(Space):
    """A candidate is a picture (C, H, W), seen as patches; heads pair with the patches' pixels.

    A problem is a dict with any of ``given`` (B, C, H, W), ``known`` (B, 1, H, W) bool: pixels of
    it that are right and never move, ``level`` (B,): its noise, ``label`` (B,). Pixels lie in
    [−1, 1]; latents of any number of channels are pictures too.
    """

    feature_axes = 3
    reads = "whole"
    continuous = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        patch: int = 4
        #: What the model sees beside the candidate: nothing, or what is given as well.
        context: Literal["none", "given"] = "none"
        #: What the condition vector tells; the class where the data have classes.
        tell_level: bool = False
        tell_label: bool = False
        loss: PixelLoss = "smooth_l1"
        #: A step's length is counted in patches, so that it fits images of any size, or as it is.
        step_unit: Literal["patch", "none"] = "patch"
        #: Where pixels are brought back into [−1, 1]: when read, after every move, or nowhere.
        clamp: Literal["decode", "move", "none"] = "decode"
        #: Can thinking start from a first guess of its own (``thinking.start=amortised``)?
        guesses: bool = False

        def __post_init__(self) -> None:
            if self.patch < 1:
                raise ValueError(f"patch must be at least 1, got {self.patch}")
            if self.guesses and self.context == "none":
                raise ValueError("a first guess is made of what is given: set context=given")

    def __init__(
        self, config: Config, dim: int, image_size: int, channels: int, classes: int = 0
    ) -> None:
        super().__init__()
        _require_fit(config, dim, image_size)
        self.config, self.channels, self.side = config, channels, image_size
        self.metric, self.amortises = config.loss, config.guesses
        self.patches = (image_size // config.patch) ** 2
        self.pair_dim = channels * config.patch**2
        self.candidate = PatchEmbedding(image_size, config.patch, channels, dim)
        seen = config.context == "given"
        # One channel more says which pixels are known.
        self.seen = PatchEmbedding(image_size, config.patch, channels + 1, dim) if seen else None
        self.level = LevelEmbedding(dim) if config.tell_level else None
        self.label = LabelEmbedding(classes, dim) if config.tell_label and classes else None
        self.guess = nn.Linear(dim, self.pair_dim) if config.guesses else None
        if self.guess is not None:
            nn.init.zeros_(self.guess.weight)
            nn.init.zeros_(self.guess.bias)

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """What is asked, and the clean image."""
        return asked_and_clean(batch)

    def embed_context(self, context: dict[str, Tensor]) -> Whole:
        """Condition, patches of what is given, and what of it is known."""
        weight = self.candidate.linear.weight
        count = self.extent(context)[0]
        condition = torch.zeros(count, len(weight), device=weight.device, dtype=weight.dtype)
        if self.level is not None:
            condition = condition + self.level(_asked(context, "level"))
        if self.label is not None:
            nobody = torch.full((count,), -1, device=weight.device)
            condition = condition + self.label(context.get("label", nobody))
        given, known = context.get("given"), context.get("known")
        rows = None
        if self.seen is not None:
            image = _asked(context, "given")
            mask = torch.ones_like(image[:, :1]) if known is None else known.to(image)
            rows = self.seen(torch.cat([image * mask, mask], dim=1))
        return Whole(condition, rows, None if given is None else Given(given, known))

    def extent(self, problem: dict[str, Tensor]) -> tuple[int, int]:
        """How many problems, and patches each."""
        return len(next(iter(problem.values()))), self.patches

    def feature_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return (self.channels, self.side, self.side)

    def amortised(self, hidden: Tensor) -> Tensor:
        """A picture from what the body made of the given one (B, L, D)."""
        if self.guess is None:
            return super().amortised(hidden)
        return unpatchify(self.guess(hidden), self.config.patch, self.channels)

    def embed(self, point: Tensor) -> Embedding:
        """Embedded patches, and their pixels."""
        return Embedding(self.candidate(point), patchify(point, self.config.patch))

    def move(self, y: Tensor, point: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """``y − L δ``, or ``y − δ``: the energy is a mean over L patches."""
        moved = y - (self.patches * delta if self.config.step_unit == "patch" else delta)
        return moved.clamp(-1, 1) if self.config.clamp == "move" else moved

    def decode(self, y: Tensor) -> Tensor:
        """The picture."""
        return y if self.config.clamp == "none" else y.clamp(-1, 1)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """Loss of candidates as they are: beyond the box there must be a way back."""
        return self.output_loss(y, target[:, None].expand_as(y))

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over pixels; below an error of 1, smooth L1 is half the squared error."""
        return pixel_loss(output, target, self.config.loss)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Peak signal-to-noise ratio in dB, of a range of 2."""
        return {"psnr": psnr(output, target)}

    def counts(self, target: Tensor) -> Tensor:
        """Every image (B,) is learnt."""
        return torch.ones(len(target), dtype=torch.bool, device=target.device)

    def flops(self) -> SpaceFlops:
        """Patch embedding, ``2 Q D``, and what the condition costs."""
        embed = linear_flops(self.candidate)
        told = [x for x in (self.level, self.seen) if x is not None]
        context = sum(linear_flops(x) * (self.patches if x is self.seen else 1) for x in told)
        start = 0.0 if self.guess is None else linear_flops(self.guess)
        return SpaceFlops(start=start, embed=embed, entry=embed, context=context)


def asked_and_clean(batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """A batch of images as a problem, and the clean images that answer it.

    Where nothing is given, labels of no class say how many images are wanted.
    """
    asked, clean = {name: batch[name] for name in ASKED if name in batch}, batch["clean"]
    return asked or {"label": clean.new_full((len(clean),), -1, dtype=torch.long)}, clean


def pixel_loss(output: Tensor, target: Tensor, how: PixelLoss) -> Tensor:
    """Mean over the pixels of each image (..., C, H, W)."""
    function = F.smooth_l1_loss if how == "smooth_l1" else F.mse_loss
    return function(output, target, reduction="none").flatten(-3).mean(-1)


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of images (..., C, H, W) with a range of 2."""
    error = (output - target).square().flatten(-3).mean(-1)
    return 10 * (4 / error.clamp(min=1e-12)).log10()


def _require_fit(config: ImageSpace.Config, dim: int, image_size: int) -> None:
    if image_size % config.patch:
        sizes = [p for p in range(1, image_size + 1) if image_size % p == 0]
        raise UserError(
            f"images of {image_size}×{image_size} do not divide into patches of {config.patch}: "
            f"set predictor.space.patch to one of {', '.join(map(str, sizes))}."
        )
    if dim % 4:
        raise UserError(f"positions in two dimensions need a hidden_dim in fours, got {dim}.")


def _asked(problem: dict[str, Any], name: str) -> Tensor:
    if name not in problem:
        raise UserError(f"this model needs '{name}', and the problem has only {sorted(problem)}.")
    return problem[name]
