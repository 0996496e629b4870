"""Noising processes and samplers."""
