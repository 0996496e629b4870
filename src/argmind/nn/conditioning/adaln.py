"""The paper's step modulation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Modulation, Step, StepEmbedding
from argmind.registry import register


def _modulation(dim: int, parts: int, zero: bool) -> nn.Linear:
    linear = nn.Linear(dim, parts * dim)
    nn.init.zeros_(linear.bias)
    if zero:
        nn.init.zeros_(linear.weight)
    else:
        nn.init.xavier_uniform_(linear.weight)
    return linear


@register("conditioning", "adaln")
class AdaLN(StepEmbedding):
    """Shift, scale and gate of every block, in both streams, from ``Linear(silu(embedding))``.

    Source: Peebles & Xie 2023 (DiT), as used in the public text code (``adaln``).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int, num_layers: int, landscapes: int) -> None:  # noqa: ARG002
        super().__init__(dim, landscapes)
        self.blocks = nn.ModuleList(_modulation(dim, 6, self.zero_head) for _ in range(num_layers))
        self.last = _modulation(dim, 2, self.zero_head)

    def block(self, layer: int, step: Step) -> Modulation:
        """Modulation of block ``layer``."""
        return Modulation(*self.blocks[layer](F.silu(self.embedding(step))).chunk(6))

    def final(self, step: Step) -> tuple[Tensor, Tensor]:
        """Shift and scale before the head."""
        shift, scale = self.last(F.silu(self.embedding(step))).chunk(2)
        return shift, scale


@register("conditioning", "adaln_zero")
class AdaLNZero(AdaLN):
    """``adaln`` whose modulations and head start at zero: every block starts as the identity."""

    zero_head = True

    @dataclass(frozen=True, kw_only=True)
    class Config(AdaLN.Config):
        pass
