"""Fused forms of what costs most, each with a plain PyTorch form that computes the same."""
