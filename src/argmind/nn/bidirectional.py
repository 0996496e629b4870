"""A transformer in which every row sees every row, told by one vector what is wanted.

Energy models of images and grids, diffusion transformers, regression and classifiers are made of
it. Shapes: B sequences, L rows, D width.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig, part
from argmind.nn.attention.base import CandidateAttention
from argmind.nn.conditioning.base import Modulation, modulate
from argmind.nn.dimensions import Dimensions
from argmind.nn.flops import linear_flops
from argmind.nn.norm.rms import RMSNorm
from argmind.nn.transformer import Block


@dataclass(frozen=True, kw_only=True)
class RowsConfig(Dimensions):
    """Dimensions and parts of blocks in which every row sees every row."""

    qkv_bias: bool = True
    qk_norm: bool = False
    attention: PartConfig = part("attention", "auto")
    feedforward: PartConfig = part("feedforward", "gelu")
    norm: PartConfig = part("norm", "layer")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"hidden_dim {self.hidden_dim} must be a multiple of num_heads {self.num_heads}"
            )


@dataclass(frozen=True, kw_only=True)
class BidirectionalConfig(RowsConfig):
    """The same under a condition; the defaults are those of a diffusion transformer.

    ``modulation``: ``adaln_zero``: shift, scale and gate of every block, and shift and scale of
    the output, from ``Linear(silu(condition))`` starting at zero; ``added``: the condition is added
    to every row, which saves a third of the weights where there is little to be told.
    Source: Peebles & Xie 2023 (DiT).
    """

    modulation: Literal["adaln_zero", "added"] = "adaln_zero"


class Told(NamedTuple):
    """What a condition says to each block (B, 6 D) and to the output (B, 2 D)."""

    last: Tensor
    blocks: list[Tensor]

    def pick(self, index: Tensor) -> Told:
        """Some of the problems."""
        return Told(self.last[index], [change[index] for change in self.blocks])


class FullAttention(nn.Module):
    """Multi-head attention of every row over every row."""

    def __init__(self, config: RowsConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.num_heads, self.head_dim = config.num_heads, config.head_dim
        self.mechanism: CandidateAttention = config.attention.build()
        self.qkv = nn.Linear(dim, 3 * dim, bias=config.qkv_bias)
        self.wo = nn.Linear(dim, dim, bias=config.qkv_bias)
        if config.qkv_bias:
            nn.init.zeros_(self.qkv.bias)
            nn.init.zeros_(self.wo.bias)
        norm = RMSNorm.Config()
        self.q_norm = RMSNorm(norm, self.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(norm, self.head_dim) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(..., L, D) → (..., L, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dim)).unbind(-3)
        rows = (self.q_norm(q), self.k_norm(k), v)
        flat = (r.flatten(0, -4).transpose(1, 2) for r in rows)  # (B, H, L, d)
        attended = self.mechanism.full(*flat).transpose(1, 2).flatten(2)
        return self.wo(attended.view(x.shape))


class BidirectionalTransformer(nn.Module):
    """A stack of blocks over rows (B, L, D) under a condition (B, D), with a final norm."""

    def __init__(self, config: BidirectionalConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        self.layers = nn.ModuleList(
            Block(dim, FullAttention(config), config.feedforward, config.norm)
            for _ in range(config.num_layers)
        )
        self.norm = config.norm.build(dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        told = config.modulation == "adaln_zero"
        self.modulations = nn.ModuleList(
            _zero(nn.Linear(dim, 6 * dim)) for _ in range(config.num_layers if told else 0)
        )
        self.last = _zero(nn.Linear(dim, 2 * dim)) if told else None

    @property
    def blocks(self) -> Iterable[Block[FullAttention]]:
        """The layers, by their type."""
        return cast("Iterable[Block[FullAttention]]", self.layers)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normed (and modulated) output (B, L, D); positions are in ``x`` already."""
        return self.under(x, self.told(condition))

    def told(self, condition: Tensor) -> Told:
        """What a condition (B, D) says to every block; it does not depend on the rows."""
        if self.last is None:
            return Told(condition, [])
        active = F.silu(condition)
        return Told(self.last(active), [layer(active) for layer in self.modulations])

    def under(self, x: Tensor, told: Told) -> Tensor:
        """Output for rows (B, L, D), or (B, N, L, D) of N sequences under the same condition."""
        if self.last is None:
            x = x + _spread(told.last, x)
            for block in self.blocks:
                x = block(x, block.attention, None)
            return self.norm(x)
        for block, change in zip(self.blocks, told.blocks, strict=True):
            parts = _spread(change, x).chunk(6, dim=-1)
            x = block(x, block.attention, Modulation(*parts))
        return modulate(self.norm(x), *_spread(told.last, x).chunk(2, dim=-1))

    def flops(self, rows: int) -> float:
        """A forward pass of one sequence: ``2 P`` a row and ``4 D L`` a pair."""
        return rows * linear_flops(self.layers) + self.pair_flops(rows)

    def pair_flops(self, rows: int) -> float:
        """Attention alone: ``4 D L²`` a layer."""
        return 4.0 * self.config.hidden_dim * self.config.num_layers * rows**2

    def told_flops(self) -> float:
        """What one condition costs."""
        last = [] if self.last is None else [self.last]
        return linear_flops(self.modulations, *last)


def _spread(change: Tensor, x: Tensor) -> Tensor:
    """A vector for each of B problems (B, K) against their rows (B, …, L, D)."""
    return change.reshape(len(change), *(1,) * (x.ndim - 2), change.shape[-1])


def _zero(linear: nn.Linear) -> nn.Linear:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
