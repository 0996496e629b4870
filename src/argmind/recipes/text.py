"""Text recipes: the energy model, its rival, and the paper's two."""

from __future__ import annotations

from argmind.config import PartConfig, part_config
from argmind.recipes.base import Recipe
from argmind.registry import register
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.config import OptimizerConfig, TrainingConfig

_TRAINING = TrainingConfig(steps=1200, batch_size=32, eval_every=200, checkpoint_every=400)
#: Best of those tried for either model at 1,200 steps of 32 sequences; see docs/log.md.
_OPTIMIZER = OptimizerConfig(lr=2e-3, warmup_steps=60, weight_decay=0.01, clip_norm=0.25)
_PUBLISHED_OPTIMIZER = OptimizerConfig(lr=1.2e-3, warmup_steps=60, weight_decay=0.01)


@register("recipe", "text_ebt")
def text_ebt() -> Recipe:
    """An energy model of text that starts from its own first guess and improves on it.

    The guess is judged too, less than the answer. The head's bilinear form starts at zero, so that
    a step begins as "stay"; sizes shrink after the trained steps, so that longer thinking settles.
    The energy is only a slope to descend: for one that says how sure an answer is, see
    ``text_ebt_calibrated``.
    """
    objective = part_config("objective", "thinking", start_weight=0.3)
    return _thinker("text_ebt", step_size=0.03, objective=objective)


@register("recipe", "text_ebt_calibrated")
def text_ebt_calibrated() -> Recipe:
    """An energy model of text whose energies read as nats: each foretells its candidate's loss.

    That costs some of the answer's own quality; docs/log.md has both figures.
    """
    objective = part_config("objective", "thinking", start_weight=1.0, energy_weight=0.1)
    return _thinker("text_ebt_calibrated", step_size=0.3, objective=objective)


def _thinker(name: str, step_size: float, objective: PartConfig) -> Recipe:
    head = part_config("head", "bilinear", start="zeros")
    body = part_config("body", "two_stream", head=head)
    size = part_config("schedule", "constant", size=step_size)
    return Recipe(
        name=name,
        predictor=part_config("predictor", "ebt", body=body),
        thinking=ThinkingConfig(
            steps=2,
            start_noise_std=0.3,
            schedule=part_config("schedule", "annealed", base=size, decay=0.5, hold=2),
        ),
        objective=objective,
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


def _published_predictor() -> PartConfig:
    """The published text model: own V→D matrix, a time token, a linear head."""
    return part_config(
        "predictor",
        "ebt",
        space=part_config("space", "published"),
        body=part_config(
            "body",
            "two_stream",
            conditioning=part_config("conditioning", "time_embed"),
            head=part_config("head", "linear"),
        ),
    )


@register("recipe", "text_published_s1")
def text_published_s1() -> Recipe:
    """The paper's System 1: two detached steps, loss after each, one learned step size.

    Source: Energy-Based Transformers (arXiv 2507.02092) and its public text code. The step size
    of 500 belongs to a vocabulary of 50,277; for V of 4,096 see docs/log.md.
    """
    return Recipe(
        name="text_published_s1",
        predictor=_published_predictor(),
        thinking=ThinkingConfig(
            steps=2,
            start="noise",
            schedule=part_config("schedule", "learned", size=500.0, lr_factor=1500.0),
        ),
        objective=part_config("objective", "s1"),
        optimizer=_PUBLISHED_OPTIMIZER,
        training=_TRAINING,
    )


@register("recipe", "text_published_s2")
def text_published_s2() -> Recipe:
    """The paper's System 2: random path lengths and step sizes, noise, replay, one landscape.

    Source: Energy-Based Transformers (arXiv 2507.02092), section 3.3, and its public text code.
    """
    size = part_config("schedule", "constant", size=5.0)
    return Recipe(
        name="text_published_s2",
        predictor=_published_predictor(),
        thinking=ThinkingConfig(
            steps=3,
            landscapes=1,
            start="noise",
            rule=part_config("rule", "langevin", noise_std=3.0),
            schedule=part_config("schedule", "randomised", base=size, scale=2.0),
        ),
        objective=part_config("objective", "s2"),
        optimizer=_PUBLISHED_OPTIMIZER,
        training=_TRAINING,
    )
