"""The linear probe: on features that are separable and that are not, and of every model."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.errors import UserError
from argmind.eval.probe import DIFFUSION_LEVEL, Features, features, probe
from argmind.predictors.base import Predictor
from argmind.thinking.thinker import ThinkingConfig
from rivals.pictures import CLASSES, INPUTS, TINY, build, clean, disturb


def labelled(count: int, seed: int) -> Features:
    """Two layers: one knows nothing of three classes, one does."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, 3, count)
    blind = draws.normal(size=(count, 6))
    seeing = draws.normal(size=(count, 6)) + 4 * np.eye(6)[labels]
    return Features([blind, 100 * seeing + 7], labels)


def test_the_layer_that_knows_is_found() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra 'image')")
    found = probe(labelled(400, 0), labelled(200, 1))
    assert found.layer == 1
    assert found.accuracy > 0.9
    assert found.by_layer[0] < 0.6
    assert (found.train_images, found.test_images, found.feature_size) == (400, 200, 6)
    assert found.interval.value == found.accuracy
    assert found.interval.low < found.accuracy <= found.interval.high
    assert found.chance == np.bincount(labelled(200, 1).labels).max() / 200
    blind = probe(labelled(400, 0), labelled(200, 1), layers=[0])
    assert blind.layer == 0
    assert 0.2 < blind.accuracy < 0.5


def test_too_little_to_fit_is_refused() -> None:
    few = labelled(10, 0)
    with pytest.raises(UserError, match="at least 20"):
        probe(few, few)
    same = Features(labelled(40, 0).layers, np.zeros(40, int))
    with pytest.raises(UserError, match="2 classes"):
        probe(same, same)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(UserError, match=r"argmind\[image\]"):
        probe(labelled(40, 0), labelled(40, 1))


def energy_model() -> Predictor:
    body = part_config("body", "bidirectional", transformer=TINY)
    space = part_config("space", "image", context="given", tell_level=True, tell_label=True)
    config = part_config("predictor", "ebt", space=space, body=body)
    model = config.build(ThinkingConfig(start="given"), **INPUTS).double().eval()
    disturb(model)
    return model


MODELS: dict[str, Any] = {
    "ebt": energy_model,
    "dit": lambda: build("dit", tell_label=True),
    "regression": lambda: build("regression", tell_level=True, tell_label=True),
    "classifier": lambda: build("classifier"),
}


def batches(images: Tensor) -> list[dict[str, Tensor]]:
    labels = torch.arange(len(images)) % CLASSES
    return [{"clean": x, "label": y} for x, y in zip(images.split(2), labels.split(2), strict=True)]


@pytest.mark.parametrize("name", MODELS)
def test_features_of_every_model(name: str) -> None:
    model, images = MODELS[name](), clean(5)
    found = features(model, batches(images))
    assert [layer.shape for layer in found.layers] == [(5, 8)] * 2
    assert found.labels.tolist() == [0, 1, 2, 0, 1]
    assert not np.allclose(found.layers[0], found.layers[1])
    assert len(np.unique(found.layers[0].round(6), axis=0)) == 5
    again = features(model, batches(images))
    assert all(np.array_equal(x, y) for x, y in zip(found.layers, again.layers, strict=True))
    hooks = sum(len(module._forward_hooks) for module in model.modules())
    assert hooks == 0


def test_features_are_means_over_patches_of_the_residual_stream() -> None:
    model, images = MODELS["regression"](), clean(3)
    seen: list[Tensor] = []
    block = model.trunk.transformer.layers[1]
    block.register_forward_hook(lambda *told: seen.append(told[2]))
    found = features(model, [{"clean": images, "label": torch.arange(3)}])
    want = seen[0].mean(1).detach().float().numpy()
    np.testing.assert_allclose(found.layers[1], want, rtol=1e-5)


def test_a_diffusion_model_is_shown_a_little_noise() -> None:
    model, shown = MODELS["dit"](), []

    def tell(x: Tensor, time: Tensor, problem: dict[str, Tensor]) -> Tensor:
        shown.append((x, time))
        return type(model).tell(model, x, time, problem)

    model.tell = tell
    features(model, [{"clean": clean(3), "label": torch.arange(3)}])
    ((x, time),) = shown
    scales = model.process.scales(time, x)
    noise = x / scales.data - clean(3)
    assert noise.std() == pytest.approx(DIFFUSION_LEVEL, rel=0.1)


def test_images_without_classes_and_other_models_are_refused() -> None:
    with pytest.raises(UserError, match="with classes"):
        features(MODELS["dit"](), [{"clean": clean(2)}])
    text = part_config("predictor", "ebt").build(ThinkingConfig(), vocab_size=7)
    with pytest.raises(UserError, match="no image model"):
        features(text, batches(clean(2)))
