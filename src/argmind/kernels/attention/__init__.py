"""Attention that can be differentiated twice, without ever holding its scores.

A thinking step needs the gradient of attention, and training through it that gradient's own
derivative. With ``P = exp(τ Q Kᵀ − lse)`` four functions suffice; ``plain`` has each in chunks of
PyTorch, ``launch`` as Triton kernels, ``pair`` makes autograd use them:

================= ==============================================================================
forward           O = P V, and lse
inner_backward    D = ⟨dO, O⟩ per row; dS = P (dO Vᵀ − D); dQ = τ dS K, dK = τ dSᵀ Q, dV = Pᵀ dO
tangent           Ṡ = τ (Q̇ Kᵀ + Q K̇ᵀ); r = Σ P Ṡ per row; Ȯ = (P Ṡ) V + P V̇ − r O
second_adjoint    Ṗ = P (Ṡ − r); Ḋ = ⟨dO, Ȯ⟩ + ⟨gO, O⟩ per row
                  dṠ = Ṗ (dO Vᵀ − D) + P (gO Vᵀ + dO V̇ᵀ − Ḋ)
                  gQ = τ (dṠ K + dS K̇), gK = τ (dṠᵀ Q + dSᵀ Q̇), gV = Ṗᵀ dO + Pᵀ gO
================= ==============================================================================

``dX`` is the adjoint of X in the inner backward, ``Ẋ`` the tangent along which its result is
wanted: the cotangents of (dQ, dK, dV). The second derivative of attention is the tangent of its
backward, so dO's cotangent is Ȯ, and an outer cotangent gO of O may enter the same pass. Every
row statistic is known before the sweep that needs it. A candidate's own key and value are one more
column, seen by one row alone, and cost no matrix product.
"""
