"""The transformer that energy models and Transformer++ are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, cast

from torch import Tensor, nn

from argmind.config import PartConfig, part
from argmind.kernels.attention.problem import Limits
from argmind.nn.conditioning.base import Modulation, modulate
from argmind.nn.dimensions import Dimensions
from argmind.nn.position import Rotation
from argmind.nn.self_attention import KeysValues, SelfAttention


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(Dimensions):
    """Dimensions and parts of a causal transformer."""

    num_kv_heads: int | None = None
    qk_norm: bool = False
    rope_base: float = 10_000.0
    attention: PartConfig = part("attention", "auto")
    feedforward: PartConfig = part("feedforward", "swiglu")
    norm: PartConfig = part("norm", "rms")

    def __post_init__(self) -> None:
        super().__post_init__()
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


A = TypeVar("A", bound=nn.Module)


class Block(nn.Module, Generic[A]):
    """Pre-norm attention and feed-forward with residuals, optionally modulated."""

    def __init__(self, dim: int, attention: A, feedforward: PartConfig, norm: PartConfig) -> None:
        super().__init__()
        self.attention = attention
        self.feed_forward = feedforward.build(dim)
        self.attention_norm = norm.build(dim)
        self.ffn_norm = norm.build(dim)

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


CausalBlock = Block[SelfAttention]


def _block(config: TransformerConfig) -> CausalBlock:
    attention = SelfAttention(
        config.hidden_dim,
        config.num_heads,
        config.kv_heads,
        config.attention.build(),
        config.qk_norm,
    )
    return Block(config.hidden_dim, attention, config.feedforward, config.norm)


ModulationOf = Callable[[int], Modulation | None]


def unmodulated(layer: int) -> None:
    """No modulation in any block."""


#: Keys and values of new rows → all that these rows may attend to.
Take = Callable[[KeysValues], KeysValues]
#: What takes new rows' keys and values, for each layer.
Append = Callable[[int], Take]


def _first(cache: list[KeysValues], fresh: KeysValues) -> KeysValues:
    """Nothing stands before these rows: they have only one another."""
    cache.append(fresh)
    return fresh


class Transformer(nn.Module):
    """A stack of blocks over rows (B, S, dim), with a final norm."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(_block(config) for _ in range(config.num_layers))
        self.norm = config.norm.build(config.hidden_dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    @property
    def blocks(self) -> Iterable[CausalBlock]:
        """The layers, by their type."""
        return cast(Iterable[CausalBlock], self.layers)

    def context(
        self,
        x: Tensor,
        turn: Rotation,
        visible: Tensor | None,
        append: Append | None = None,
        modulation: ModulationOf = unmodulated,
        output: bool = True,
    ) -> tuple[Tensor | None, list[KeysValues]]:
        """The context stream: (normed output (B, S, dim), keys and values of every layer).

        ``append`` puts new keys and values behind those that a layer has (decoding); keeping them
        is then its own affair. Without ``output`` the last layer's attention and feed-forward are
        skipped: only its keys and values are needed.
        """
        cache: list[KeysValues] = []
        for index, block in enumerate(self.blocks):
            last = index + 1 == len(self.layers)
            take = append(index) if append else partial(_first, cache)

            def attend(rows: Tensor, block: CausalBlock = block, take: Take = take) -> Tensor:
                queries, fresh = block.attention.read(rows, turn)
                return block.attention.context(queries, take(fresh), visible)

            change = modulation(index)
            if last and not output:
                take(block.attention.keys_values(block.attention_input(x, change), turn))
                return None, cache
            x = block(x, attend, change)
        return self.norm(x), cache

    def candidate(
        self,
        x: Tensor,
        turn: Rotation,
        limits: Limits,
        cache: list[KeysValues],
        modulation: ModulationOf = unmodulated,
    ) -> Tensor:
        """The candidate stream: rows (B, R, dim) over a context's cache; normed output."""
        for index, block in enumerate(self.blocks):

            def attend(
                rows: Tensor, block: CausalBlock = block, seen: KeysValues = cache[index]
            ) -> Tensor:
                return block.attention.candidate(rows, turn, seen, limits)

            x = block(x, attend, modulation(index))
        return self.norm(x)
