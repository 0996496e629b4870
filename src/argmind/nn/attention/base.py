"""What a candidate-attention mechanism computes."""

from __future__ import annotations

from torch import Tensor, nn

from argmind.registry import Part


class CandidateAttention(nn.Module, Part):
    """Attention of R candidate rows over S context keys and each row's own key.

    ``out_r = Σ_j∈visible(r) P_rj v_j + P_r,own v_own``, P the softmax of scaled scores over the
    visible context keys and the row's own key; never another candidate's.
    Shapes: q (B, H, R, d), own key and value (B, Hkv, R, d), keys and values (B, Hkv, S, d),
    visible (B or 1, R, S) bool. H is a multiple of Hkv (grouped queries).
    Source: Energy-Based Transformers, section 3 and appendix (autoregressive form).
    """

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, visible: Tensor
    ) -> Tensor:
        """(B, H, R, d)."""
        raise NotImplementedError
