"""A transformer over a chunk of actions that looks at what was observed, no row before its time.

Shapes: B problems, N candidates each, L actions of a chunk, F observed frames, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig, part
from argmind.kernels.attention.problem import Limits
from argmind.nn.attention.base import CandidateAttention
from argmind.nn.bidirectional import RowsConfig
from argmind.nn.dimensions import Dimensions
from argmind.nn.observed import ObservedTransformer


class FusedNorm(PartConfig):
    """PyTorch's layer normalisation: differentiated once, so that nothing need be written out."""

    def build(self, dim: int) -> nn.LayerNorm:
        """A layer of this width."""
        return nn.LayerNorm(dim)


@dataclass(frozen=True, kw_only=True)
class ChunkConfig(Dimensions):
    """The published sizes of Diffusion Policy's transformer: 8.4 M weights in blocks."""

    num_layers: int = 8
    num_heads: int = 4
    hidden_dim: int = 256
    feedforward: PartConfig = part("feedforward", "gelu")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.blocks()

    def blocks(self) -> RowsConfig:
        """What its blocks are made by; how they attend and are normed is not a choice."""
        return RowsConfig(
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            hidden_dim=self.hidden_dim,
            feedforward=self.feedforward,
            norm=FusedNorm(),
        )


class Masked(CandidateAttention):
    """Attention of rows over those that each may see; differentiated once, so SDPA serves."""

    is_plain = True
    visible: Tensor

    def __init__(self, visible: Tensor) -> None:
        """``visible`` (L, S) bool: does row l see s?"""
        super().__init__()
        self.register_buffer("visible", visible, persistent=False)

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, limits: Limits
    ) -> Tensor:
        """Rows of a chunk have no key of their own."""
        raise NotImplementedError

    def full(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, H, N L, d), the candidates one after another."""
        visible = self.visible.repeat(q.shape[2] // len(self.visible), 1)
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=visible)


class ChunkTransformer(ObservedTransformer):
    """Pre-norm blocks: an action sees itself and those before it, and frames not after its own.

    ``told``: so many rows of what is looked at come before the frames, and every action sees them.
    Source: Chi et al. 2023 (Diffusion Policy, transformer), without its dropout.
    """

    def __init__(self, config: ChunkConfig, chunk: int, frames: int, told: int = 0) -> None:
        super().__init__(config.blocks())
        actions = torch.arange(chunk)[:, None]
        earlier = Masked(actions >= actions.T)
        shown = Masked(actions >= torch.arange(told + frames) - told)
        for block in self.blocks:
            block.attention.mechanism, block.cross.mechanism = earlier, shown
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)


class LearnedRows(nn.Module):
    """A learned row for every place; none of them decays."""

    lr_factor = 1.0

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(count, dim).normal_(std=0.02))

    def forward(self) -> Tensor:
        """(count, D)."""
        return self.rows


class Reading(nn.Module):
    """What is looked at, row by row: ``W₂ mish(W₁ (row + place))``."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.places = LearnedRows(count, dim)
        self.w1 = nn.Linear(dim, 4 * dim)
        self.w2 = nn.Linear(4 * dim, dim)
        for layer in (self.w1, self.w2):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, rows: Tensor, first: int) -> Tensor:
        """Rows (B, R, D) that stand at places ``first`` and on."""
        placed = rows + self.places()[first : first + rows.shape[1]]
        return self.w2(F.mish(self.w1(placed)))
