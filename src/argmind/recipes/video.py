"""Video recipes: the next frame by energy, by regression, by diffusion."""

from __future__ import annotations

from dataclasses import replace

from argmind.config import PartConfig, part_config
from argmind.nn.transformer import TransformerConfig
from argmind.recipes.base import Recipe
from argmind.registry import register
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.config import OptimizerConfig, TrainingConfig

#: Small enough for a CPU; `--size` makes more of it.
_STREAM = TransformerConfig(num_layers=3, num_heads=4, hidden_dim=128)
_TRAINING = TrainingConfig(steps=600, batch_size=16, eval_every=100, checkpoint_every=200)
_OPTIMIZER = OptimizerConfig(lr=3e-3, warmup_steps=50, weight_decay=0.01)
#: Of models that learn a way from noise.
_FROM_NOISE = replace(_OPTIMIZER, lr=1e-3)


def _ebt(guesses: bool) -> PartConfig:
    """Two streams over frames; the energy is half the mean squared error it foresees.

    With a first guess all is shared that can be: both streams embed by the same weights, as a
    trunk is pulled apart by two; the head adds to what the guess is read from; and a level of its
    own says what chance decides.
    """
    readout, embedding = ("guess", "context") if guesses else ("own", "own")
    head = part_config("head", "quadratic", reduction="mean", readout=readout)
    space = part_config("space", "frames", guesses=guesses, candidate_embedding=embedding)
    body = part_config("body", "two_stream", transformer=_STREAM, head=head, level=guesses)
    return part_config("predictor", "ebt", space=space, body=body)


def _recipe(name: str, predictor: PartConfig, objective: PartConfig) -> Recipe:
    return Recipe(
        name=name,
        data=part_config("dataset", "clips"),
        predictor=predictor,
        objective=objective,
        optimizer=_OPTIMIZER,
        training=_TRAINING,
    )


@register("recipe", "video_ebt")
def video_ebt() -> Recipe:
    """An energy model that starts from its own guess of the next frame and improves on it.

    The level of the energy is taught to foretell errors, so that it says where the future is open;
    that takes nothing from the guess. The step size is not learnt, as only its product with what
    the head adds can be told; it shrinks after the trained steps, so that longer thinking settles.
    """
    size = part_config("schedule", "constant", size=0.5)
    weights = {"start_weight": 1.0, "energy_weight": 1.0, "energy_error": "relative"}
    objective = part_config("objective", "thinking", **weights)
    return replace(
        _recipe("video_ebt", _ebt(guesses=True), objective),
        thinking=ThinkingConfig(
            steps=2,
            start_noise_std=0.3,
            schedule=part_config("schedule", "annealed", base=size, decay=0.5, hold=2),
        ),
    )


@register("recipe", "video_nearest_ebt")
def video_nearest_ebt() -> Recipe:
    """The same energy from noise, which comes to say which of several things happens next.

    Of eight starts the one that ends nearest to what came is taught, so that several draws are
    alternatives, not their mean. It pays with the error of a single draw.
    """
    chosen = {"starts": 8, "scout_steps": 2, "through": "all", "loss_on": "last"}
    return replace(
        _recipe(
            "video_nearest_ebt", _ebt(guesses=False), part_config("objective", "nearest", **chosen)
        ),
        thinking=ThinkingConfig(
            steps=2,
            start="noise",
            start_noise_std=0.3,
            schedule=part_config("schedule", "constant", size=0.5),
        ),
    )


@register("recipe", "video_field_ebt")
def video_field_ebt() -> Recipe:
    """The same energy, learnt as a slope from noise to next frames: it can have several valleys.

    By equilibrium matching (arXiv 2510.02300); every start ends in one of the things that may come
    next, where a loss on thinking ends in their mean.
    """
    return replace(
        _recipe("video_field_ebt", _ebt(guesses=False), part_config("objective", "equilibrium")),
        optimizer=_FROM_NOISE,
        thinking=ThinkingConfig(
            steps=50,
            landscapes=1,
            start="noise",
            rule=part_config("rule", "momentum", momentum=0.3, nesterov=True),
            schedule=part_config("schedule", "constant", size=0.015),
        ),
    )


@register("recipe", "video_transformer_pp")
def video_transformer_pp() -> Recipe:
    """The plain rival: Transformer++ that predicts the next frame in one pass."""
    predictor = part_config("predictor", "frame_regression", transformer=_STREAM)
    return _recipe("video_transformer_pp", predictor, part_config("objective", "next_frame"))


@register("recipe", "video_diffusion")
def video_diffusion() -> Recipe:
    """The generative rival: the same stream with a diffusion head."""
    predictor = part_config("predictor", "frame_diffusion", transformer=_STREAM)
    recipe = _recipe("video_diffusion", predictor, part_config("objective", "frame_diffusion"))
    training = replace(_TRAINING, ema_decay=0.999)
    return replace(recipe, optimizer=_FROM_NOISE, training=training)
