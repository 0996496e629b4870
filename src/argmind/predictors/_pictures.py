"""What image predictors without an energy share: one network from pictures to pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.errors import UserError
from argmind.nn.bidirectional import BidirectionalConfig, BidirectionalTransformer
from argmind.nn.condition import LabelEmbedding
from argmind.nn.flops import TRAINED, linear_flops
from argmind.nn.patches import PatchEmbedding, unpatchify
from argmind.predictors.base import Predictor
from argmind.spaces.base import Problem
from argmind.spaces.image import PixelLoss, asked_and_clean, pixel_loss, psnr


@dataclass(frozen=True, kw_only=True)
class PictureConfig(PartConfig):
    """A transformer over patches, what it is told, and how its pictures are judged."""

    transformer: BidirectionalConfig = field(default_factory=BidirectionalConfig)
    patch: int = 4
    tell_label: bool = False  # where the data have classes
    loss: PixelLoss = "smooth_l1"

    def __post_init__(self) -> None:
        if self.patch < 1:
            raise ValueError(f"patch must be at least 1, got {self.patch}")


class PictureTrunk(nn.Module):
    """Pictures (..., C, H, W) as patches through a transformer under a condition (B, D).

    A vector of its own joins the condition, as in the energy model.
    """

    def __init__(self, config: PictureConfig, side: int, channels: int) -> None:
        super().__init__()
        dim = config.transformer.hidden_dim
        if side % config.patch:
            sizes = [p for p in range(1, side + 1) if side % p == 0]
            raise UserError(
                f"images of {side}×{side} do not divide into patches of {config.patch}: set "
                f"predictor.patch to one of {', '.join(map(str, sizes))}."
            )
        if dim % 4:
            raise UserError(f"positions in two dimensions need a hidden_dim in fours, got {dim}.")
        self.patches = (side // config.patch) ** 2
        self.embedding = PatchEmbedding(side, config.patch, channels, dim)
        self.transformer = BidirectionalTransformer(config.transformer)
        self.condition = nn.Parameter(torch.empty(dim).normal_(std=0.02))

    def forward(self, pictures: Tensor, condition: Tensor) -> Tensor:
        """(B, C, H, W) or (B, N, C, H, W) → (B, L, D) or (B, N, L, D)."""
        return self.transformer(self.embedding(pictures), condition + self.condition)

    def flops(self, candidates: int = 1) -> float:
        """Pictures under one condition."""
        each = self.transformer.flops(self.patches) + self.patches * linear_flops(self.embedding)
        return candidates * each + self.transformer.told_flops()


class PictureReadout(nn.Module):
    """Rows of patches (..., L, D) as a picture (..., C, H, W); starts at zero."""

    def __init__(self, config: PictureConfig, side: int, channels: int) -> None:
        super().__init__()
        self.patch, self.channels = config.patch, channels
        self.patches = (side // config.patch) ** 2
        self.linear = nn.Linear(config.transformer.hidden_dim, channels * config.patch**2)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """The picture."""
        return unpatchify(self.linear(rows), self.patch, self.channels)

    def flops(self) -> float:
        """One picture."""
        return self.patches * linear_flops(self.linear)


class PicturePredictor(Predictor):
    """Problems as :class:`argmind.spaces.image.ImageSpace` knows them; judged by pixels."""

    def __init__(self, config: PictureConfig, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        self.settings = config
        self.shape = (channels, image_size, image_size)
        self.metric = config.loss
        dim = config.transformer.hidden_dim
        self.label = LabelEmbedding(classes, dim) if config.tell_label and classes else None

    def encode(
        self, context: Problem, first: Tensor | None = None, last_only: bool = False
    ) -> dict[str, Tensor]:
        """The problem itself."""
        if isinstance(context, Tensor) or first is not None or last_only:
            raise ValueError("an image problem is a dict of tensors, and has no positions")
        return context

    def keep(self, state: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
        """Some of the problems, by index."""
        return {name: tensor[rows] for name, tensor in state.items()}

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """What is asked, and the clean image."""
        return asked_and_clean(batch)

    def extent(self, problem: Mapping[str, Tensor]) -> tuple[int, int]:
        """How many problems, and patches each."""
        if not problem:
            raise UserError("an empty problem does not say how many images are wanted: add labels.")
        return len(next(iter(problem.values()))), (self.shape[1] // self.settings.patch) ** 2

    def told_label(self, problem: Mapping[str, Tensor], count: int) -> Tensor | float:
        """The label's part of the condition (B, D); nothing told is "any class"."""
        if self.label is None:
            return 0.0
        weight = self.label.table.weight
        anything = torch.full((count,), -1, device=weight.device)
        return self.label(problem.get("label", anything))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over the pixels of each image."""
        return pixel_loss(output, target, self.settings.loss)

    def scores(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Peak signal-to-noise ratio in dB."""
        return {"psnr": psnr(output, target)}

    def pass_flops(self) -> float:
        """FLOPs of the network on one picture."""
        raise NotImplementedError

    def training_flops(self, sequences: int, length: int) -> float:  # noqa: ARG002
        """Three forward passes a picture."""
        return TRAINED * sequences * self.pass_flops()


def asked(problem: Mapping[str, Any], name: str) -> Tensor:
    """An entry that a model cannot do without.

    Raises:
        UserError: the problem does not have it.
    """
    if name not in problem:
        raise UserError(f"this model needs '{name}', and the problem has only {sorted(problem)}.")
    return problem[name]
