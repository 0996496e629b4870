"""Spaces: what a candidate answer is, what the energy model sees of it, and how it moves."""
