"""Image recipes: energy models that denoise, fill in and generate, and the paper's."""

from __future__ import annotations

from dataclasses import replace

from argmind.config import PartConfig, part_config
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.recipes.base import Recipe
from argmind.registry import register
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.config import OptimizerConfig, TrainingConfig

#: Small enough for a CPU and 8×8 digits; `--size` and `data.source` make more of it.
_TRUNK = BidirectionalConfig(num_layers=3, num_heads=4, hidden_dim=64)
_TRAINING = TrainingConfig(steps=600, batch_size=64, eval_every=100, checkpoint_every=200)
_OPTIMIZER = OptimizerConfig(lr=2e-3, warmup_steps=50, weight_decay=0.01)


def _ebt(space: PartConfig, head: PartConfig) -> PartConfig:
    body = part_config("body", "bidirectional", transformer=_TRUNK, head=head)
    return part_config("predictor", "ebt", space=space, body=body)


def _data(task: str, **options: object) -> PartConfig:
    return part_config("dataset", "images", task=part_config("task", task), **options)


@register("recipe", "image_denoise_ebt")
def image_denoise_ebt() -> Recipe:
    """An energy model that walks from the noisy image to the clean one.

    The energy is how far a picture is from what the model would make of it; two steps are taken,
    each is judged, and all are learnt through. Sizes shrink after the trained steps, so that longer
    thinking settles.
    """
    size = part_config("schedule", "learned", size=1.0)
    return Recipe(
        name="image_denoise_ebt",
        data=_data("denoise"),
        predictor=_ebt(part_config("space", "image"), part_config("head", "quadratic")),
        thinking=ThinkingConfig(
            steps=2,
            start="given",
            start_noise_std=0.1,
            schedule=part_config("schedule", "annealed", base=size, decay=0.5, hold=2),
        ),
        objective=part_config("objective", "thinking", loss_on="all"),
        optimizer=_OPTIMIZER,
        training=_TRAINING,
    )


@register("recipe", "image_denoise_published_s1")
def image_denoise_published_s1() -> Recipe:
    """The paper's image denoiser: detached steps from the noisy image, one learned step size.

    Source: Energy-Based Transformers (arXiv 2507.02092) and its public image code. The step size
    of 3,000 belongs to 128×128 images in 64 patches.
    """
    space = part_config("space", "image", step_unit="none", clamp="none")
    return Recipe(
        name="image_denoise_published_s1",
        data=_data("denoise"),
        predictor=_ebt(space, part_config("head", "linear", start="zeros")),
        thinking=ThinkingConfig(
            steps=3,
            start="given",
            schedule=part_config("schedule", "learned", size=3000.0, lr_factor=9000.0),
        ),
        objective=part_config("objective", "s1"),
        optimizer=OptimizerConfig(lr=1e-4, warmup_steps=50, weight_decay=0.01),
        training=_TRAINING,
    )


@register("recipe", "image_inpaint_ebt")
def image_inpaint_ebt() -> Recipe:
    """An energy model that fills in what is hidden: known pixels never move, and it sees which.

    It starts from grey in the hidden part, with some noise, so that several starts differ.
    """
    recipe = image_denoise_ebt()
    space = part_config("space", "image", context="given")
    return replace(
        recipe,
        name="image_inpaint_ebt",
        data=_data("inpaint"),
        predictor=_ebt(space, part_config("head", "quadratic")),
    )


@register("recipe", "image_generate_ebt")
def image_generate_ebt() -> Recipe:
    """An energy model whose slope leads from noise to images of the class that is asked for.

    Some classes are withheld in training, so that "any" can be asked for too. Learnt by
    equilibrium matching, so that there is no time to be told; descended with momentum.
    """
    return Recipe(
        name="image_generate_ebt",
        data=_data("generate", withheld_labels=0.1),
        predictor=_ebt(
            part_config("space", "image", tell_label=True), part_config("head", "quadratic")
        ),
        thinking=ThinkingConfig(
            steps=50,
            start="noise",
            rule=part_config("rule", "momentum", momentum=0.3, nesterov=True),
            schedule=part_config("schedule", "constant", size=0.015),
        ),
        objective=part_config("objective", "equilibrium"),
        optimizer=_OPTIMIZER,
        training=_TRAINING,
    )
