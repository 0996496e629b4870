"""Candidate attention in plain PyTorch: the truth that faster forms are tested against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.kernels.attention.problem import Limits
from argmind.nn.attention.base import CandidateAttention
from argmind.registry import register


@register("attention", "reference")
class ReferenceAttention(CandidateAttention):
    """Materialised scores, softmax in at least fp32; any number of derivatives.

    Cost: memory B·H·R·(S+1) scores, a few times over when differentiated twice.
    """

    is_plain = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:  # noqa: ARG002
        super().__init__()

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, limits: Limits
    ) -> Tensor:
        """See :class:`CandidateAttention`."""
        batch, heads, rows, dim = q.shape
        kv_heads = keys.shape[1]
        grouped = q.reshape(batch, kv_heads, heads // kv_heads, rows, dim) * dim**-0.5
        scores = grouped @ keys[:, :, None].transpose(-1, -2)
        visible = limits.mask(rows, keys.shape[2])[:, None, None]
        # Added rather than filled in: no derivative of it has to be masked again.
        unseen = scores.new_zeros(visible.shape).masked_fill(~visible, float("-inf"))
        scores = scores + unseen
        own = (grouped * own_k[:, :, None]).sum(-1, keepdim=True)
        joined = torch.cat([scores, own], dim=-1)
        wide = torch.promote_types(q.dtype, torch.float32)
        shares = joined.softmax(-1, dtype=wide).to(q.dtype)
        seen, itself = shares.split([keys.shape[2], 1], dim=-1)
        out = seen @ values[:, :, None] + itself * own_v[:, :, None]
        return out.reshape(batch, heads, rows, dim)
