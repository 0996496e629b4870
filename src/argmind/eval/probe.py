"""What a model knows of classes that it was never told: a linear probe of its frozen features.

Protocol: clean images go through the model once; the features of a layer are the mean over patches
of its residual stream. They are standardised, and a logistic regression (scikit-learn, lbfgs,
C = 1) is fitted to nine tenths of the training images; the layer is the one that does best on the
last tenth (every tenth image). With that layer it is fitted to all of them, and judged on the test
images. An energy model sees the clean image as candidate and as what is given; a diffusion model
sees it with the noise of :data:`DIFFUSION_LEVEL`, which it is trained to see through.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.base import Batch, optional_module
from argmind.errors import UserError
from argmind.nn.bidirectional import BidirectionalTransformer
from argmind.predictors.base import Predictor
from argmind.predictors.classifier import Classifier
from argmind.predictors.dit import DiT
from argmind.predictors.ebt import EBT
from argmind.predictors.regression import Regression
from argmind.train.seeds import seed_for

Array = NDArray[Any]

#: Noise std in the images that a diffusion model is probed with. Features at a little noise are
#: better than without any (Xiang et al. 2023).
DIFFUSION_LEVEL = 0.1


@dataclass(frozen=True)
class Features:
    """Features (n, D) of every layer, and the classes (n,)."""

    layers: list[Array]
    labels: Array


@dataclass(frozen=True)
class Probe:
    """Share of test images told right, from which layer, and each layer's on held-out images."""

    accuracy: float
    layer: int
    by_layer: dict[int, float]
    train_images: int
    test_images: int


def probe(train: Features, test: Features, layers: Sequence[int] | None = None) -> Probe:
    """Choose a layer (of ``layers``, or of all), fit, and judge.

    Raises:
        UserError: scikit-learn is missing, there are too few images, or only one class.
    """
    if len(train.labels) < 20 or len(np.unique(train.labels)) < 2:
        raise UserError("a linear probe needs at least 20 training images of at least 2 classes.")
    held_out = np.arange(len(train.labels)) % 10 == 9
    by_layer: dict[int, float] = {}
    for layer in range(len(train.layers)) if layers is None else layers:
        x = train.layers[layer]
        fit = _fitted(x[~held_out], train.labels[~held_out])
        by_layer[layer] = fit(x[held_out], train.labels[held_out])
    best = max(by_layer, key=lambda layer: by_layer[layer])
    judge = _fitted(train.layers[best], train.labels)
    accuracy = judge(test.layers[best], test.labels)
    return Probe(accuracy, best, by_layer, len(train.labels), len(test.labels))


def _fitted(x: Array, labels: Array) -> Callable[[Array, Array], float]:
    """A standardised logistic regression, as a function that gives its accuracy."""
    linear = optional_module("sklearn.linear_model", "a linear probe", "image")
    mean, std = x.mean(0), x.std(0) + 1e-6
    model = linear.LogisticRegression(C=1.0, max_iter=1000)
    model.fit((x - mean) / std, labels)
    return lambda others, truth: float(model.score((others - mean) / std, truth))


@torch.no_grad()
def features(predictor: Predictor, batches: Iterable[Batch]) -> Features:
    """Features of the ``clean`` images of batches that have a ``label``.

    Raises:
        UserError: images without classes, or a model whose features nobody knows how to read.
    """
    device = next(predictor.parameters()).device
    rows: list[list[Array]] = []
    labels: list[Array] = []
    for index, batch in enumerate(batches):
        if "label" not in batch:
            raise UserError("a linear probe needs images with classes.")
        generator = torch.Generator(device).manual_seed(seed_for(0, 0, index))
        with _watched(_transformer(predictor)) as seen:
            _look(predictor, batch["clean"].to(device), generator)
        rows.append([hidden.reshape(len(hidden), -1).float().cpu().numpy() for hidden in seen])
        labels.append(batch["label"].cpu().numpy())
    layers = [np.concatenate(layer) for layer in zip(*rows, strict=True)]
    return Features(layers, np.concatenate(labels))


def _transformer(predictor: Predictor) -> BidirectionalTransformer:
    if isinstance(predictor, (DiT, Regression, Classifier)):
        return predictor.trunk.transformer
    if isinstance(predictor, EBT):
        inside = getattr(predictor.body, "transformer", None)
        if isinstance(inside, BidirectionalTransformer):
            return inside
    raise UserError(f"{type(predictor).__name__} is no image model, so there is nothing to probe.")


def _look(predictor: Predictor, clean: Tensor, generator: torch.Generator) -> None:
    """Show clean images to the model, once."""
    nothing = torch.zeros(len(clean), device=clean.device, dtype=clean.dtype)
    if isinstance(predictor, EBT):
        problem = {"given": clean, "level": nothing}
        predictor.landscape(problem).energy(clean[:, None], 0)
    elif isinstance(predictor, DiT):
        process = predictor.process
        time = process.time_of(nothing + DIFFUSION_LEVEL)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device).to(clean)
        predictor.tell(process.noised(clean, noise, time), time, {})
    elif isinstance(predictor, (Regression, Classifier)):
        predictor.answer({"given": clean, "level": nothing})


@contextmanager
def _watched(transformer: BidirectionalTransformer) -> Generator[list[Tensor]]:
    """Mean over rows of what every block gives, (B, D) or (B, 1, D) each."""
    seen: list[Tensor] = []

    def keep(block: Any, inputs: Any, output: Tensor) -> None:  # noqa: ARG001
        seen.append(output.mean(-2))

    hooks = [block.register_forward_hook(keep) for block in transformer.layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
