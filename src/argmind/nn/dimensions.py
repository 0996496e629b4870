"""How large a transformer is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """Layers, heads and width; ``argmind list size`` shows the named sizes."""

    num_layers: int = 6
    num_heads: int = 6
    hidden_dim: int = 384

    def __post_init__(self) -> None:
        for name in ("num_layers", "num_heads", "hidden_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_dim // self.num_heads
