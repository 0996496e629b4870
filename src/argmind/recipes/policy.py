"""EBT-Policy recipes: chunks of actions by descent, as published, and so that modes stay apart.

``policy_NAME_ebt_published`` has the published rule and objective. ``policy_NAME_ebt`` chooses
among starts, which keeps several right ways apart; it takes plain gradient steps, because a
velocity brings back the noise that a thought began with, and steps scaled by the energy were learnt
more slowly. Energies are means over all T·A numbers of a chunk, so that a step of size T·A is one
of size 1 for each; a third of that and little noise are learnt fastest (docs/log.md).
Source: EBT-Policy (arXiv 2510.27545) and its public code.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from argmind.config import PartConfig, part_config
from argmind.energy.policy import PolicyConfig
from argmind.recipes._policies import Environment, policy_recipe, register_each
from argmind.recipes.base import Recipe
from argmind.thinking.thinker import ThinkingConfig

#: The published batch is a quarter of what policies are trained with here, for as many epochs.
_PUBLISHED_BATCH = 64


def _predictor(environment: Environment) -> PartConfig:
    """Actions lie in [−1, 1], where demonstrations' least and most are brought to."""
    transformer = PolicyConfig(**asdict(environment.size))
    return part_config(
        "predictor",
        "ebt",
        space=part_config("space", "actions", clip=1.0),
        body=part_config("body", "policy", transformer=transformer),
    )


def _randomised(size: float) -> PartConfig:
    constant = part_config("schedule", "constant", size=size)
    return part_config("schedule", "randomised", base=constant, scale=1.5)


def _annealed(noise_std: float, base: PartConfig) -> PartConfig:
    return part_config(
        "rule", "langevin", noise_std=noise_std, last_noise_std=0.002, anneal_steps=6, base=base
    )


def _ebt(name: str, environment: Environment) -> Recipe:
    return replace(
        policy_recipe(
            name,
            environment,
            _predictor(environment),
            part_config("objective", "nearest", starts=8, scout_steps=2),
            thinking=ThinkingConfig(
                steps=4,
                start="noise",
                rule=_annealed(0.05, part_config("rule", "gradient")),
                schedule=_randomised(10.0),
            ),
        ),
        optimizer=replace(environment.optimizer, weight_decay=1e-6, clip_norm=1.0),
    )


def _published(name: str, environment: Environment) -> Recipe:
    look_ahead = part_config("rule", "momentum", momentum=0.9, nesterov=True)
    more = environment.training.batch_size // _PUBLISHED_BATCH
    return replace(
        policy_recipe(
            name,
            environment,
            _predictor(environment),
            part_config("objective", "thinking", through="none", loss_on="all", fewest_steps=6),
            thinking=ThinkingConfig(
                steps=10,
                start="noise",
                rule=_annealed(0.2, part_config("rule", "energy_scaled", base=look_ahead)),
                schedule=_randomised(1000.0),
            ),
        ),
        optimizer=replace(
            environment.optimizer, weight_decay=1e-6, warmup_steps=500, clip_norm=1.0
        ),
        training=replace(
            environment.training,
            batch_size=_PUBLISHED_BATCH,
            steps=more * environment.training.steps,
        ),
    )


register_each("ebt", "EBT-Policy on {environment}: starts that come to stand for modes.", _ebt)
register_each("ebt_published", "EBT-Policy on {environment}, to the published numbers.", _published)
