"""Text recipes: the energy model, its rival, and the paper's two."""

from __future__ import annotations

from argmind.config import part_config
from argmind.nn.transformer import TransformerConfig
from argmind.recipes.base import Recipe
from argmind.registry import register
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.config import OptimizerConfig, TrainingConfig

_TRAINING = TrainingConfig(steps=600, batch_size=64, eval_every=100, checkpoint_every=200)
_OPTIMIZER = OptimizerConfig(lr=1.2e-3, warmup_steps=60, weight_decay=0.01)


@register("recipe", "text_ebt")
def text_ebt() -> Recipe:
    """An energy model of text that starts from its own first guess and improves on it."""
    body = part_config("body", "two_stream", transformer=TransformerConfig())
    return Recipe(
        name="text_ebt",
        predictor=part_config("predictor", "ebt", body=body),
        thinking=ThinkingConfig(steps=2),
        objective=part_config("objective", "thinking", start_weight=0.1),
        optimizer=_OPTIMIZER,
        training=_TRAINING,
    )


@register("recipe", "text_transformer_pp")
def text_transformer_pp() -> Recipe:
    """The rival: Transformer++ from the same blocks, on the same data."""
    return Recipe(
        name="text_transformer_pp",
        predictor=part_config("predictor", "transformer_pp"),
        objective=part_config("objective", "cross_entropy"),
        optimizer=_OPTIMIZER,
        training=_TRAINING,
    )
