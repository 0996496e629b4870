"""What a model knows of classes that it was never told: a linear probe of its frozen features.

The protocol is always the same: :data:`PROTOCOL`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.base import Batch, optional_module
from argmind.data.datasets.images import ImageData
from argmind.errors import UserError
from argmind.eval.statistics import Interval, share
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
#: Fewer training images are not worth a fit.
_LEAST = 20

PROTOCOL = (
    "Clean images go through the model once; the features of a layer are the mean over patches of "
    "its residual stream. They are standardised, and a logistic regression (scikit-learn, lbfgs, "
    "C = 1) is fitted to nine tenths of the training images; the layer is the one that does best "
    "on the last tenth (every tenth image). With that layer it is fitted to all of them, and "
    "judged on held-out images. An energy model sees the clean image as candidate and as what is "
    f"given; a diffusion model sees it with noise of std {DIFFUSION_LEVEL}, which it is trained to "
    "see through."
)


@dataclass(frozen=True)
class Features:
    """Features (n, D) of every layer, and the classes (n,)."""

    layers: list[Array]
    labels: Array


@dataclass(frozen=True)
class Probe:
    """Share of test images told right, from which layer, and each layer's on held-out images.

    ``chance``: the share of the commonest class among test images.
    """

    accuracy: float
    interval: Interval
    chance: float
    layer: int
    by_layer: dict[int, float]
    feature_size: int
    train_images: int
    test_images: int


def as_they_are(config: Any) -> Any:
    """The config of image data with no image mirrored, and all classes told."""
    return replace(config, flip=False, withheld_labels=0.0)


def probed(
    predictor: Predictor,
    data: ImageData,
    train: int,
    test: int,
    *,
    batch_size: int = 500,
    scale: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> Probe:
    """Probe a model by the first training and held-out images of data, as many as there are.

    Args:
        data: images :func:`as_they_are`.
        scale: what images are multiplied by, of latents that the model counts in another unit.
        progress: called with the number of images seen so far.

    Raises:
        UserError: as :func:`features` and :func:`probe`.
    """
    _linear_models()
    count = min(train, data.samples_per_epoch)
    if count < _LEAST:
        raise _too_little()
    firsts = range(0, count, batch_size)
    shown = (data.batch(first, min(batch_size, count - first)) for first in firsts)
    seen = 0

    def told(batches: Iterable[Batch]) -> Generator[Batch]:
        nonlocal seen
        for batch in batches:
            yield {**batch, "clean": batch["clean"] * scale}
            seen += len(batch["clean"])
            if progress is not None:
                progress(seen)

    known = features(predictor, told(shown))
    return probe(known, features(predictor, told(data.evaluation(batch_size, test))))


def probe(train: Features, test: Features, layers: Sequence[int] | None = None) -> Probe:
    """Choose a layer (of ``layers``, or of all), fit, and judge.

    Raises:
        UserError: scikit-learn is missing, there are too few images, or only one class.
    """
    if len(train.labels) < _LEAST or len(np.unique(train.labels)) < 2:
        raise _too_little()
    held_out = np.arange(len(train.labels)) % 10 == 9
    by_layer: dict[int, float] = {}
    for layer in range(len(train.layers)) if layers is None else layers:
        x = train.layers[layer]
        fit = _fitted(x[~held_out], train.labels[~held_out])
        by_layer[layer] = float(fit(x[held_out], train.labels[held_out]).mean())
    best = max(by_layer, key=lambda layer: by_layer[layer])
    judge = _fitted(train.layers[best], train.labels)
    interval = share(judge(test.layers[best], test.labels))
    _, counts = np.unique(test.labels, return_counts=True)
    return Probe(
        accuracy=interval.value,
        interval=interval,
        chance=float(counts.max() / counts.sum()),
        layer=best,
        by_layer=by_layer,
        feature_size=train.layers[best].shape[1],
        train_images=len(train.labels),
        test_images=len(test.labels),
    )


def _too_little() -> UserError:
    return UserError(
        f"a linear probe needs at least {_LEAST} training images of at least 2 classes."
    )


def _linear_models() -> ModuleType:
    return optional_module("sklearn.linear_model", "a linear probe", "image")


def _fitted(x: Array, labels: Array) -> Callable[[Array, Array], Array]:
    """A standardised logistic regression, as a function that says which it tells right."""
    mean, std = x.mean(0), x.std(0) + 1e-6
    model = _linear_models().LogisticRegression(C=1.0, max_iter=1000)
    model.fit((x - mean) / std, labels)
    return lambda others, truth: model.predict((others - mean) / std) == truth


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
