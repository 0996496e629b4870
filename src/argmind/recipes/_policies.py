"""What policy recipes share: demonstrations, how long to train, and how to register them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from argmind.config import PartConfig, part_config
from argmind.nn.dimensions import Dimensions
from argmind.recipes.base import Recipe
from argmind.registry import register
from argmind.train.config import OptimizerConfig, TrainingConfig


class Environment(NamedTuple):
    """How policies of one environment are trained, whatever the model."""

    name: str
    size: Dimensions
    training: TrainingConfig
    optimizer: OptimizerConfig

    @property
    def data(self) -> PartConfig:
        """The demonstrations that ``argmind demos NAME --out demos/NAME`` makes."""
        return part_config("dataset", "demonstrations", source=f"demos/{self.name}")


#: Source: Diffusion Policy (arXiv 2303.04137), transformer variant: AdamW, warm-up, cosine, and an
#: average of weights whose decay is 1 - (1 + step)^-0.75; its weight decay is 0.1 for Push-T.
_PUBLISHED = OptimizerConfig(
    lr=1e-4,
    min_lr_ratio=0.0,
    warmup_steps=1000,
    betas=(0.9, 0.95),
    weight_decay=1e-3,
    clip_norm=None,
)
_LONG = TrainingConfig(
    steps=20_000,
    batch_size=256,
    # Errors on chunks held out say little of success: the last weights are taken, not the best.
    eval_every=0,
    eval_limit=1024,
    checkpoint_every=2000,
    ema_decay=0.9999,
    ema_power=0.75,
)
_PUBLISHED_SIZE = Dimensions(num_layers=8, num_heads=4, hidden_dim=256)

#: ``point`` is small enough for a CPU.
ENVIRONMENTS = (
    Environment(
        "point",
        Dimensions(num_layers=3, num_heads=4, hidden_dim=64),
        replace(_LONG, steps=2000, batch_size=64),
        replace(_PUBLISHED, lr=1e-3, warmup_steps=100),
    ),
    Environment("pusht", _PUBLISHED_SIZE, _LONG, replace(_PUBLISHED, weight_decay=0.1)),
    Environment("metaworld", _PUBLISHED_SIZE, _LONG, _PUBLISHED),
    Environment("pointmaze", _PUBLISHED_SIZE, _LONG, _PUBLISHED),
)


def register_each(model: str, summary: str, make: Callable[[str, Environment], Recipe]) -> None:
    """Register ``policy_NAME_model`` for every environment.

    ``make``: from the recipe's name and the environment; ``summary`` may name ``{environment}``.
    """
    for environment in ENVIRONMENTS:
        name = f"policy_{environment.name}_{model}"

        def recipe(name: str = name, environment: Environment = environment) -> Recipe:
            return make(name, environment)

        recipe.__doc__ = summary.format(environment=environment.name)
        register("recipe", name)(recipe)


def policy_recipe(
    name: str, environment: Environment, predictor: PartConfig, objective: PartConfig, **more: Any
) -> Recipe:
    """A recipe on the environment's demonstrations, trained as they all are."""
    return Recipe(
        name=name,
        data=environment.data,
        predictor=predictor,
        objective=objective,
        optimizer=environment.optimizer,
        training=environment.training,
        **more,
    )
