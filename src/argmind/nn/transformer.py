"""The transformer that energy models and Transformer++ are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from torch import Tensor, cat, nn

from argmind.config import PartConfig, part
from argmind.nn.conditioning.base import Modulation, modulate
from argmind.nn.position import Rotation
from argmind.nn.self_attention import KeysValues, SelfAttention


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Dimensions and parts of a transformer; ``argmind list size`` shows the named sizes."""

    num_layers: int = 6
    num_heads: int = 6
    hidden_dim: int = 384
    num_kv_heads: int | None = None
    qk_norm: bool = False
    rope_base: float = 10_000.0
    attention: PartConfig = part("attention", "reference")
    feedforward: PartConfig = part("feedforward", "swiglu")
    norm: PartConfig = part("norm", "rms")

    def __post_init__(self) -> None:
        for name in ("num_layers", "num_heads", "hidden_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.hidden_dim % (2 * self.num_heads):
            raise ValueError(
                f"hidden_dim {self.hidden_dim} must be an even multiple of num_heads "
                f"{self.num_heads} (rotary positions turn pairs of elements)"
            )
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.kv_heads}"
            )

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads."""
        return self.num_kv_heads or self.num_heads

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_dim // self.num_heads


class Block(nn.Module):
    """Pre-norm attention and feed-forward with residuals, optionally modulated by the step."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.attention = SelfAttention(
            dim, config.num_heads, config.kv_heads, config.attention.build(), config.qk_norm
        )
        self.feed_forward = config.feedforward.build(dim)
        self.attention_norm = config.norm.build(dim)
        self.ffn_norm = config.norm.build(dim)

    def attention_input(self, x: Tensor, modulation: Modulation | None) -> Tensor:
        """What attention reads: the normed (and modulated) residual stream."""
        normed = self.attention_norm(x)
        if modulation is None:
            return normed
        return modulate(normed, modulation.attention_shift, modulation.attention_scale)

    def forward(
        self, x: Tensor, attend: Callable[[Tensor], Tensor], modulation: Modulation | None
    ) -> Tensor:
        """``x + attend(norm x)``, then ``x + ffn(norm x)``; ``attend`` chooses the stream."""
        attended = attend(self.attention_input(x, modulation))
        if modulation is None:
            x = x + attended
            return x + self.feed_forward(self.ffn_norm(x))
        x = x + modulation.attention_gate * attended
        normed = modulate(
            self.ffn_norm(x), modulation.feedforward_shift, modulation.feedforward_scale
        )
        return x + modulation.feedforward_gate * self.feed_forward(normed)


ModulationOf = Callable[[int], Modulation | None]


def unmodulated(layer: int) -> None:
    """No modulation in any block."""


class Transformer(nn.Module):
    """A stack of blocks over rows (B, S, dim), with a final norm."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = config.norm.build(config.hidden_dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    @property
    def blocks(self) -> Iterable[Block]:
        """The layers, by their type."""
        return cast(Iterable[Block], self.layers)

    def context(
        self,
        x: Tensor,
        turn: Rotation,
        visible: Tensor | None,
        past: list[KeysValues] | None = None,
        modulation: ModulationOf = unmodulated,
        output: bool = True,
    ) -> tuple[Tensor | None, list[KeysValues]]:
        """The context stream: (normed output (B, S, dim), keys and values of every layer).

        ``past`` keys and values come before the new ones (cached decoding). Without ``output`` the
        last layer's attention and feed-forward are skipped: only its keys and values are needed.
        """
        cache: list[KeysValues] = []
        for index, block in enumerate(self.blocks):
            last = index + 1 == len(self.layers)

            def attend(rows: Tensor, block: Block = block, index: int = index) -> Tensor:
                fresh = block.attention.keys_values(rows, turn)
                cache.append(_after(past[index], fresh) if past else fresh)
                return block.attention.context(rows, turn, cache[-1], visible)

            change = modulation(index)
            if last and not output:
                fresh = block.attention.keys_values(block.attention_input(x, change), turn)
                cache.append(_after(past[index], fresh) if past else fresh)
                return None, cache
            x = block(x, attend, change)
        return self.norm(x), cache

    def candidate(
        self,
        x: Tensor,
        turn: Rotation,
        visible: Tensor,
        cache: list[KeysValues],
        modulation: ModulationOf = unmodulated,
    ) -> Tensor:
        """The candidate stream: rows (B, R, dim) over a context's cache; normed output."""
        for index, block in enumerate(self.blocks):

            def attend(
                rows: Tensor, block: Block = block, seen: KeysValues = cache[index]
            ) -> Tensor:
                return block.attention.candidate(rows, turn, seen, visible)

            x = block(x, attend, modulation(index))
        return self.norm(x)


def _after(past: KeysValues, fresh: KeysValues) -> KeysValues:
    return KeysValues(cat([past.keys, fresh.keys], dim=2), cat([past.values, fresh.values], dim=2))
