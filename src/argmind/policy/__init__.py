"""Policies: models that act, the worlds they act in, and the experts they learn from."""
