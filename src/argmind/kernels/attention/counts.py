"""FLOPs of the operators for PyTorch's counter: products that are needed, none that is recomputed.

As PyTorch counts its own attention: over all pairs, seen or not; own keys cost no product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from argmind.kernels.attention.ops import SIZE

Shape = Sequence[int]


def _product(q: Shape, keys: Shape) -> int:
    """One product of rows and keys: 2 B · H · R · S · d."""
    batch, heads, rows, dim = q
    return 2 * batch * heads * rows * keys[2] * dim


def forward_flops(q: Shape, keys: Shape, *_: Any, **__: Any) -> int:
    """Q Kᵀ and P V."""
    return 2 * _product(q, keys)


def backward_flops(q: Shape, keys: Shape, *given: Any, **_: Any) -> int:
    """dO Vᵀ and dS K; for shared keys and values dSᵀ Q and Pᵀ dO."""
    shared = given[-1]
    return (4 if shared else 2) * _product(q, keys)


def second_flops(q: Shape, keys: Shape, *given: Any, **_: Any) -> int:
    """Q̇ Kᵀ, (P Ṡ) V and dṠ K; three for shared keys and values, four where those have tangents."""
    keys_t, shared = given[SIZE - 2 + 5], given[-1]
    return (3 + (3 if shared else 0) + (4 if keys_t is not None else 0)) * _product(q, keys)


def register() -> None:
    """Tell PyTorch's counter."""
    found = torch.ops.argmind
    register_flop_formula(found.attention_forward)(forward_flops)
    register_flop_formula(found.attention_backward)(backward_flops)
    register_flop_formula(found.attention_second)(second_flops)
