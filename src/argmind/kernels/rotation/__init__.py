"""Rotary positions of rows of queries, keys and values that one product made."""
