"""Normalisation of rows with both derivatives, each in one pass."""
