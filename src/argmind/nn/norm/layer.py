"""Layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.nn.written_out import normed
from argmind.registry import Part, register


@register("norm", "layer")
class LayerNorm(nn.Module, Part):
    """``(x − mean) / sqrt(var + eps)`` over the last axis, in at least fp32; no weights of its own
    unless ``affine``.

    Source: Peebles & Xie 2023 (DiT), which leaves shift and scale to the modulation.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        eps: float = 1e-6
        affine: bool = False

    def __init__(self, config: Config, dim: int) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.ones(dim)) if config.affine else None
        self.bias = nn.Parameter(torch.zeros(dim)) if config.affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (..., dim); the result has the type of ``x``."""
        return normed(x, self.eps, centred=True, weight=self.weight, bias=self.bias)
