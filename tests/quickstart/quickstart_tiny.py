"""Sizes that train in well under a second."""

from argmind.quickstart.text import TextSizes

TINY = TextSizes(
    tokenizer="byte",
    context_tokens=16,
    batch_size=4,
    num_layers=1,
    num_heads=2,
    hidden_dim=16,
    sample_tokens=6,
)
