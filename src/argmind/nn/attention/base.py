"""What an attention mechanism computes: of candidates over a context, of rows over all rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from argmind.kernels.attention.problem import Limits
from argmind.registry import Part


class CandidateAttention(nn.Module, Part):
    """Attention of R candidate rows over S context keys and each row's own key.

    ``out_r = Σ_j P_rj v_j + P_r,own v_own``, P the softmax of scaled scores over the
    visible context keys and the row's own key; never another candidate's.
    Shapes: q (B, H, R, d), own key and value (B, Hkv, R, d), keys and values (B, Hkv, S, d). H is
    a multiple of Hkv (grouped queries). ``limits`` says which context keys each row sees.
    Source: Energy-Based Transformers, section 3 and appendix (autoregressive form).
    """

    #: Is this PyTorch's own, with no kernel or derivative of ours that would need a proof?
    is_plain = False

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, limits: Limits
    ) -> Tensor:
        """(B, H, R, d)."""
        raise NotImplementedError

    def full(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Every row sees every row: ``softmax(q kᵀ / √d) v`` of (B, H, L, d), any derivatives.

        Cost in this plain form: B·H·L² scores in memory, a few times over when differentiated
        twice.
        """
        scores = (q * q.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
        wide = torch.promote_types(q.dtype, torch.float32)
        return scores.softmax(-1, dtype=wide).to(q.dtype) @ values
