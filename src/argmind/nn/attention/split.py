"""Candidate attention whose softmax is summed in two parts: the context's keys, and the own one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.config import PartConfig
from argmind.nn.attention.base import CandidateAttention
from argmind.registry import register


@register("attention", "split")
class SplitAttention(CandidateAttention):
    """The reference without its concatenation: ``(Σ_j w_j v_j + w_own v_own) / (Σ_j w_j + w_own)``.

    ``w = exp(score − greatest score)`` in at least fp32. Score matrices keep the context's own
    width, which matrix units like better than one more. Memory as the reference.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:  # noqa: ARG002
        super().__init__()

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, visible: Tensor
    ) -> Tensor:
        """See :class:`CandidateAttention`."""
        batch, heads, rows, dim = q.shape
        kv_heads = keys.shape[1]
        grouped = q.reshape(batch, kv_heads, heads // kv_heads, rows, dim) * dim**-0.5
        wide = torch.promote_types(q.dtype, torch.float32)
        scores = (grouped @ keys[:, :, None].transpose(-1, -2)).to(wide)
        scores = scores.masked_fill(~visible[:, None, None], float("-inf"))
        own = (grouped * own_k[:, :, None]).sum(-1, keepdim=True, dtype=wide)
        top = torch.maximum(scores.detach().amax(-1, keepdim=True), own.detach())
        weights, own_weight = (scores - top).exp(), (own - top).exp()
        mixed = weights.to(q.dtype) @ values[:, :, None]
        mixed = mixed + own_weight.to(q.dtype) * own_v[:, :, None]
        total = weights.sum(-1, keepdim=True) + own_weight
        return (mixed / total.to(q.dtype)).reshape(batch, heads, rows, dim)
