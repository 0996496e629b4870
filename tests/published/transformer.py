"""The published transformer, one row at a time; see :mod:`published.reference`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def rms_norm(row: Tensor, weight: Tensor) -> Tensor:
    """x / sqrt(mean x² + 1e-5) · weight, of one row (D,)."""
    return row * torch.rsqrt(row.pow(2).mean() + 1e-5) * weight


def rotate(vector: Tensor, position: int) -> Tensor:
    """RoPE: turn the pair (2j, 2j+1) of one head's vector by position · 10000^(-2j / size)."""
    size = vector.shape[0]
    turned: list[Tensor] = []
    for j in range(size // 2):
        angle = position * 10000.0 ** (-2 * j / size)
        a, b = vector[2 * j], vector[2 * j + 1]
        turned.append(a * math.cos(angle) - b * math.sin(angle))
        turned.append(a * math.sin(angle) + b * math.cos(angle))
    return torch.stack(turned)


def attention(weights: Weights, name: str, heads: int, rows: list[Tensor]) -> list[Tensor]:
    """Row i looks at rows 0..i; row i stands at position i."""
    wq, wk, wv, wo = (weights[f"{name}.{part}.weight"] for part in ("wq", "wk", "wv", "wo"))
    size = wq.shape[0] // heads
    outputs: list[list[Tensor]] = [[] for _ in rows]
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        keys = [rotate((wk @ row)[own], i) for i, row in enumerate(rows)]
        values = [(wv @ row)[own] for row in rows]
        for i, row in enumerate(rows):
            query = rotate((wq @ row)[own], i)
            scores = torch.stack([query @ keys[j] / math.sqrt(size) for j in range(i + 1)])
            share = torch.softmax(scores, dim=0)
            outputs[i].append(torch.stack([share[j] * values[j] for j in range(i + 1)]).sum(0))
    return [wo @ torch.cat(parts) for parts in outputs]


def feed_forward(weights: Weights, name: str, row: Tensor) -> Tensor:
    """SwiGLU: w2 (silu(w1 x) · w3 x)."""
    w1, w2, w3 = (weights[f"{name}.{part}.weight"] for part in ("w1", "w2", "w3"))
    gate = w1 @ row
    return w2 @ (gate * torch.sigmoid(gate) * (w3 @ row))


def modulation(weights: Weights, name: str, condition: Tensor, count: int) -> list[Tensor]:
    """Linear(SiLU(condition)) with a bias, cut into ``count`` vectors (D,)."""
    signal = condition * torch.sigmoid(condition)
    linear = f"{name}.adaLN_modulation.1"
    mixed = weights[f"{linear}.weight"] @ signal + weights[f"{linear}.bias"]
    return list(mixed.chunk(count))


def block(
    weights: Weights, heads: int, layer: int, rows: list[Tensor], condition: Tensor | None
) -> list[Tensor]:
    """One transformer block over all rows; the condition modulates every row alike."""
    name = f"transformer.layers.{layer}"
    zero, one = torch.zeros_like(rows[0]), torch.ones_like(rows[0])
    parts = [zero, zero, one, zero, zero, one]
    if condition is not None:
        parts = modulation(weights, name, condition, 6)
    shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = parts

    norm = weights[f"{name}.attention_norm.weight"]
    inputs = [rms_norm(row, norm) * (1 + scale_a) + shift_a for row in rows]
    moves = attention(weights, f"{name}.attention", heads, inputs)
    rows = [row + gate_a * move for row, move in zip(rows, moves, strict=True)]

    norm = weights[f"{name}.ffn_norm.weight"]
    inputs = [rms_norm(row, norm) * (1 + scale_f) + shift_f for row in rows]
    moves = [feed_forward(weights, f"{name}.feed_forward", row) for row in inputs]
    return [row + gate_f * move for row, move in zip(rows, moves, strict=True)]


def read_out(weights: Weights, row: Tensor, condition: Tensor | None) -> Tensor:
    """The energy (0-d) that the candidate's last hidden row (D,) stands for."""
    row = rms_norm(row, weights["transformer.norm.weight"])
    if condition is None:
        return weights["transformer.final_layer.weight"][0] @ row
    shift, scale = modulation(weights, "transformer.final_layer", condition, 2)
    return weights["transformer.final_layer.linear.weight"][0] @ (row * (1 + scale) + shift)
