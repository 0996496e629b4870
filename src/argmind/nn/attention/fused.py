"""Attention that never holds its scores, differentiated twice by formula."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from argmind.config import PartConfig
from argmind.kernels.attention.problem import Limits
from argmind.nn.attention.base import CandidateAttention
from argmind.registry import register


@register("attention", "fused")
class FusedAttention(CandidateAttention):
    """Triton kernels where they serve, chunks of PyTorch elsewhere; memory grows with R + S.

    Two derivatives, not three; the same input always gives the same bits. Which of the two serves
    and why is said by ``argmind doctor``.
    """

    second_order = "custom"

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        pass

    def __init__(self, config: Config) -> None:  # noqa: ARG002
        super().__init__()

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, limits: Limits
    ) -> Tensor:
        """See :class:`CandidateAttention`."""
        # Imported when first used: it brings in the compiler, which takes a second.
        from argmind.kernels.attention.pair import attend

        return attend(q, keys, values, own_k, own_v, limits)

    def full(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """See :meth:`CandidateAttention.full`."""
        from argmind.kernels.attention.pair import attend

        return attend(q, keys, values)
