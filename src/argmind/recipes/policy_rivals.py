"""What energy policies are compared with: Diffusion Policy, and behaviour cloning."""

from __future__ import annotations

from dataclasses import asdict

from argmind.config import part_config
from argmind.nn.chunks import ChunkConfig
from argmind.recipes._policies import Environment, policy_recipe, register_each
from argmind.recipes.base import Recipe


def _diffusion(name: str, environment: Environment) -> Recipe:
    transformer = ChunkConfig(**asdict(environment.size))
    predictor = part_config("predictor", "diffusion_policy", transformer=transformer)
    return policy_recipe(name, environment, predictor, part_config("objective", "policy_diffusion"))


def _regression(name: str, environment: Environment) -> Recipe:
    transformer = ChunkConfig(**asdict(environment.size))
    predictor = part_config("predictor", "policy_regression", transformer=transformer)
    objective = part_config("objective", "behaviour_cloning")
    return policy_recipe(name, environment, predictor, objective)


register_each(
    "diffusion", "Diffusion Policy on {environment}: chunks drawn in up to 100 steps.", _diffusion
)
register_each(
    "regression", "Behaviour cloning on {environment}: the mean of the demonstrations.", _regression
)
