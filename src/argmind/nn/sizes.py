"""Named model sizes with the learning rates they were published with."""

from __future__ import annotations

from typing import NamedTuple

from argmind.errors import unknown


class Size(NamedTuple):
    """Layers, heads, width and peak learning rate of one rung of the ladder."""

    num_layers: int
    num_heads: int
    hidden_dim: int
    lr: float


#: Source: Energy-Based Transformers, appendix (sizes after the Mamba ladder); xl by extrapolation.
#: The others: Peebles & Xie 2023 (DiT), table 1; patches of 2, 4 or 8 are a setting of their own.
SIZES: dict[str, Size] = {
    "4xs": Size(2, 2, 128, 0.0024),
    "3xs": Size(4, 4, 256, 0.0018),
    "xxs": Size(6, 6, 384, 0.0012),
    "xs": Size(12, 6, 384, 0.0009),
    "small": Size(12, 12, 768, 0.0006),
    "medium": Size(24, 16, 1024, 0.0003),
    "large": Size(24, 16, 1536, 0.00025),
    "xl": Size(24, 32, 2048, 0.0002),
    "dit-s": Size(12, 6, 384, 0.0001),
    "dit-b": Size(12, 12, 768, 0.0001),
    "dit-l": Size(24, 16, 1024, 0.0001),
    "dit-xl": Size(28, 16, 1152, 0.0001),
}


def find_size(name: str) -> Size:
    """The size of this name.

    Raises:
        UserError: no such size.
    """
    if name not in SIZES:
        raise unknown("size", name, SIZES)
    return SIZES[name]
