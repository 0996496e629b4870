"""The paper's step conditionings; in each the context depends on the step, and pays for it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Conditioning, Modulation
from argmind.registry import register


class _StepEmbedding(Conditioning):
    encode_per_step = True

    def __init__(self, dim: int, landscapes: int) -> None:
        super().__init__(landscapes)
        self.steps = nn.Embedding(landscapes, dim)

    def embedding(self, step: int) -> Tensor:
        return self.steps.weight[self.landscape(step)]


@register("conditioning", "time_embed")
class TimeEmbedding(_StepEmbedding):
    """The step's embedding is a leading token of the context, at position 0.

    Source: Energy-Based Transformers, public text code (``time_embed``).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config, dim: int, num_layers: int, landscapes: int) -> None:  # noqa: ARG002
        super().__init__(dim, landscapes)

    def prefix(self, step: int) -> Tensor:
        """The leading row (dim,)."""
        return self.embedding(step)


def _modulation(dim: int, parts: int, zero: bool) -> nn.Linear:
    linear = nn.Linear(dim, parts * dim)
    nn.init.zeros_(linear.bias)
    if zero:
        nn.init.zeros_(linear.weight)
    else:
        nn.init.xavier_uniform_(linear.weight)
    return linear


@register("conditioning", "adaln")
class AdaLN(_StepEmbedding):
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

    def block(self, layer: int, step: int) -> Modulation:
        """Modulation of block ``layer``."""
        return Modulation(*self.blocks[layer](F.silu(self.embedding(step))).chunk(6))

    def final(self, step: int) -> tuple[Tensor, Tensor]:
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
