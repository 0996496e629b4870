"""Attention mechanisms for candidates: each row sees a prefix of the context, and itself."""
