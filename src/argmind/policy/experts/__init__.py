"""Experts: scripted controllers whose episodes policies learn from."""

from argmind.policy.experts.base import Expert, expert_for

__all__ = ["Expert", "expert_for"]
