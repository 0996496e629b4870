"""Training data of each kind, built from a config."""
