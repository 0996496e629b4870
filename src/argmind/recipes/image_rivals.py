"""What image energy models are compared with: diffusion, plain regression, and a classifier."""

from __future__ import annotations

from dataclasses import replace

from argmind.config import part_config
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.recipes.base import Recipe
from argmind.registry import register
from argmind.train.config import OptimizerConfig, TrainingConfig

#: As small, as long trained, and on the same data as the energy models.
_TRUNK = BidirectionalConfig(num_layers=3, num_heads=4, hidden_dim=64)
_TRAINING = TrainingConfig(steps=600, batch_size=64, eval_every=100, checkpoint_every=200)
_OPTIMIZER = OptimizerConfig(lr=1e-3, warmup_steps=50, weight_decay=0.01)


def _recipe(name: str, predictor: str, objective: str, task: str, **options: object) -> Recipe:
    return Recipe(
        name=name,
        data=part_config("dataset", "images", task=part_config("task", task)),
        predictor=part_config("predictor", predictor, transformer=_TRUNK, **options),
        objective=part_config("objective", objective),
        optimizer=_OPTIMIZER,
        training=_TRAINING,
    )


def _diffusion(name: str, task: str, **options: object) -> Recipe:
    """A diffusion transformer, whose answers are those of an average of its weights."""
    recipe = _recipe(name, "dit", "diffusion", task, **options)
    return replace(recipe, training=replace(_TRAINING, ema_decay=0.999))


@register("recipe", "image_denoise_dit")
def image_denoise_dit() -> Recipe:
    """The published rival: a diffusion transformer taken up at the noise of the given image.

    Source: Peebles & Xie 2023 (arXiv 2212.09748); as in Energy-Based Transformers it tells noise.
    """
    return _diffusion("image_denoise_dit", "denoise")


@register("recipe", "image_denoise_regression")
def image_denoise_regression() -> Recipe:
    """The plain rival: one pass from the noisy image to the clean one."""
    return _recipe("image_denoise_regression", "regression", "regression", "denoise")


@register("recipe", "image_inpaint_regression")
def image_inpaint_regression() -> Recipe:
    """One pass from an image with a part hidden to the whole one."""
    return _recipe("image_inpaint_regression", "regression", "regression", "inpaint")


@register("recipe", "image_generate_dit")
def image_generate_dit() -> Recipe:
    """A diffusion transformer that makes images of a class, with DDIM."""
    return _diffusion("image_generate_dit", "generate", tell_label=True)


@register("recipe", "image_generate_flow")
def image_generate_flow() -> Recipe:
    """The same network telling velocities, which Euler's method follows.

    Source: Ma et al. 2024 (SiT, arXiv 2401.08740).
    """
    told = {"target": "velocity", "sampler": "euler", "tell_label": True}
    return _diffusion("image_generate_flow", "generate", **told)


@register("recipe", "image_classifier")
def image_classifier() -> Recipe:
    """The same trunk told the classes: the ceiling of a linear probe."""
    return _recipe("image_classifier", "classifier", "classification", "generate")
