"""Environments: worlds in which a policy acts, step by step."""

from argmind.policy.environments.base import Environment, EnvironmentConfig, Info, Observation, make

__all__ = ["Environment", "EnvironmentConfig", "Info", "Observation", "make"]
