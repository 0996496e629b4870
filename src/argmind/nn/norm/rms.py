"""Root-mean-square normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.nn.written_out import normed
from argmind.registry import Part, register


@register("norm", "rms")
class RMSNorm(nn.Module, Part):
    """``x / sqrt(mean(x²) + eps) · weight`` over the last axis, computed in at least fp32.

    PyTorch's fused form serves where nothing is differentiated twice: its second derivative is not
    to be had on every device.
    Source: Zhang & Sennrich 2019.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        eps: float = 1e-5

    def __init__(self, config: Config, dim: int) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (..., dim); the result has the type of ``x``."""
        return normed(x, self.eps, weight=self.weight)
