"""Runs on reasoning problems: puzzles in, checked answers out."""
