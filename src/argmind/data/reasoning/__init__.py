"""Reasoning problems: seeded generators with exact checkers, and real puzzle files."""
