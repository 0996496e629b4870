"""Whichever attention is best for each call."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.kernels.attention.choice import serving
from argmind.kernels.attention.problem import Limits
from argmind.nn.attention.base import CandidateAttention
from argmind.nn.attention.fused import FusedAttention
from argmind.nn.attention.reference import ReferenceAttention
from argmind.nn.differentiated import at_most_once
from argmind.registry import register


@register("attention", "auto")
class AutoAttention(CandidateAttention):
    """``fused`` where its kernels serve or scores would not fit, else ``reference``; PyTorch's own
    over full rows that are differentiated no more than once.

    ``argmind doctor`` says which serves here and why.
    """

    second_order = "custom"

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:  # noqa: ARG002
        super().__init__()
        self.reference = ReferenceAttention(ReferenceAttention.Config())
        self.fused = FusedAttention(FusedAttention.Config())

    def _best(self, q: Tensor, keys: Tensor) -> CandidateAttention:
        choice = serving(q.shape, keys.shape[2], q.device, q.dtype)
        return self.reference if choice.form == "reference" else self.fused

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, limits: Limits
    ) -> Tensor:
        """See :class:`CandidateAttention`."""
        return self._best(q, keys)(q, own_k, own_v, keys, values, limits)

    def full(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """See :meth:`CandidateAttention.full`."""
        if at_most_once():
            return F.scaled_dot_product_attention(q, keys, values)
        return self._best(q, keys).full(q, keys, values)
