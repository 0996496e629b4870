"""A transformer whose rows also look at what was observed, and one that reads observations.

Shapes: B problems, N candidates each of L rows, F observed frames, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from argmind.nn.attention.base import CandidateAttention
from argmind.nn.bidirectional import FullAttention, RowsConfig
from argmind.nn.flops import context_flops, linear_flops
from argmind.nn.norm.rms import RMSNorm
from argmind.nn.position import Rotation
from argmind.nn.self_attention import KeysValues
from argmind.nn.transformer import Block, Transformer, TransformerConfig


class CrossAttention(nn.Module):
    """Multi-head attention of candidate rows over observed rows, whose keys are found once."""

    def __init__(self, config: RowsConfig) -> None:
        super().__init__()
        dim, bias = config.hidden_dim, config.qkv_bias
        self.num_heads, self.head_dim = config.num_heads, config.head_dim
        self.mechanism: CandidateAttention = config.attention.build()
        self.wq = nn.Linear(dim, dim, bias=bias)
        self.wkv = nn.Linear(dim, 2 * dim, bias=bias)
        self.wo = nn.Linear(dim, dim, bias=bias)
        for layer in (self.wq, self.wkv, self.wo) if bias else ():
            nn.init.zeros_(layer.bias)
        norm = RMSNorm.Config()
        self.q_norm = RMSNorm(norm, self.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(norm, self.head_dim) if config.qk_norm else nn.Identity()

    def keys_values(self, observed: Tensor) -> KeysValues:
        """Of observed rows (B, F, D)."""
        both = self.wkv(observed).unflatten(-1, (2, self.num_heads, self.head_dim))
        keys, values = (x.transpose(1, 2) for x in both.unbind(-3))
        return KeysValues(self.k_norm(keys), values)

    def forward(self, x: Tensor, seen: KeysValues) -> Tensor:
        """(B, N, L, D) → the same; all candidates of a problem share what was seen."""
        queries = self.wq(x).flatten(1, 2).unflatten(-1, (self.num_heads, self.head_dim))
        queries = self.q_norm(queries).transpose(1, 2)
        attended = self.mechanism.full(queries, *seen).transpose(1, 2)
        return self.wo(attended.reshape(x.shape))


class ObservedBlock(Block[FullAttention]):
    """Pre-norm self-attention, attention over observed rows, feed-forward; each with a residual."""

    def __init__(self, config: RowsConfig) -> None:
        super().__init__(config.hidden_dim, FullAttention(config), config.feedforward, config.norm)
        self.cross = CrossAttention(config)
        self.cross_norm = config.norm.build(config.hidden_dim)

    def keys_values(self, observed: Tensor) -> KeysValues:
        """What this block looks at."""
        return self.cross.keys_values(observed)

    def over(self, x: Tensor, seen: KeysValues) -> Tensor:
        """(B, N, L, D) → the same."""
        x = x + self.attention(self.attention_norm(x))
        x = x + self.cross(self.cross_norm(x), seen)
        return x + self.feed_forward(self.ffn_norm(x))


class ObservedTransformer(nn.Module):
    """A stack of such blocks, with a final norm."""

    def __init__(self, config: RowsConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(ObservedBlock(config) for _ in range(config.num_layers))
        self.norm = config.norm.build(config.hidden_dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    @property
    def blocks(self) -> Iterable[ObservedBlock]:
        """The layers, by their type."""
        return cast("Iterable[ObservedBlock]", self.layers)

    def keys_values(self, observed: Tensor) -> list[KeysValues]:
        """What each block looks at, of observed rows (B, F, D)."""
        return [block.keys_values(observed) for block in self.blocks]

    def forward(self, x: Tensor, seen: list[KeysValues]) -> Tensor:
        """Normed output (B, N, L, D); positions are in ``x`` already."""
        for block, looked_at in zip(self.blocks, seen, strict=True):
            x = block.over(x, looked_at)
        return self.norm(x)

    def flops(self, rows: int, frames: int) -> float:
        """A forward pass of one candidate: ``2 P`` a row, ``4 D`` a pair and layer."""
        linear = linear_flops(self.layers) - self.keys_values_flops()
        pairs = 4.0 * self.config.hidden_dim * self.config.num_layers * rows * frames
        return rows * linear + self.pair_flops(rows) + pairs

    def pair_flops(self, rows: int) -> float:
        """Attention of the candidate's rows among themselves: ``4 D L²`` a layer."""
        return 4.0 * self.config.hidden_dim * self.config.num_layers * rows**2

    def keys_values_flops(self) -> float:
        """Of one observed row."""
        return linear_flops(*(block.cross.wkv for block in self.blocks))


class FrameEncoder(nn.Module):
    """Observed frames in their order: learned positions, starting at zero, and causal blocks.

    Differentiated once: it does not depend on candidates.
    """

    def __init__(self, config: RowsConfig, num_layers: int, frames: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(frames, config.hidden_dim))
        self.transformer = Transformer(
            TransformerConfig(
                num_layers=num_layers,
                num_heads=config.num_heads,
                hidden_dim=config.hidden_dim,
                qk_norm=config.qk_norm,
                attention=config.attention,
                feedforward=config.feedforward,
                norm=config.norm,
            )
        )

    def forward(self, rows: Tensor) -> Tensor:
        """(B, F, D) → the same, normed."""
        wide = torch.promote_types(rows.dtype, torch.float32)  # of rotations, under autocast too
        half = self.transformer.config.head_dim // 2
        nowhere = rows.new_zeros(1, 1, rows.shape[1], half, dtype=wide)
        turn = Rotation(nowhere + 1, nowhere)  # the learned positions are all there are
        output, _ = self.transformer.context(rows + self.positions, turn, None)
        assert output is not None  # asked for
        return output

    def flops(self, frames: int) -> float:
        """A forward pass of one problem's frames."""
        return context_flops(self.transformer, frames, output=True)
