"""The Fréchet distance, against closed forms, and the network whose features it is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from argmind.errors import UserError
from argmind.eval.distance import Moments, frechet_distance, image_moments, moments
from argmind.eval.feature_net import FeatureNet, load_feature_net, train_feature_net
from rivals.pictures import normal


def draws(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim))


def test_a_set_is_no_distance_from_itself() -> None:
    one = moments(draws(200, 5) @ draws(5, 5, seed=1))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-8)


def test_it_is_that_of_normal_distributions() -> None:
    """For covariances that commute: ``‖Δμ‖² + Σ (σ_a − σ_b)²``."""
    turn, _ = np.linalg.qr(draws(4, 4, seed=2))
    a, b = np.array([1.0, 2.0, 0.5, 0.0]), np.array([3.0, 2.0, 0.1, 1.0])

    def normal_with(std: np.ndarray, mean: float) -> Moments:
        return Moments(np.full(4, mean), turn @ np.diag(std**2) @ turn.T, 10)

    want = 4 * 0.25**2 + np.square(a - b).sum()
    found = frechet_distance(normal_with(a, 0.0), normal_with(b, 0.25))
    assert found == pytest.approx(want)
    assert frechet_distance(normal_with(b, 0.25), normal_with(a, 0.0)) == pytest.approx(want)


def test_it_survives_fewer_images_than_features() -> None:
    few, other = moments(draws(5, 40)), moments(draws(5, 40, seed=1))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(few, other) > 1


@pytest.mark.parametrize("bad", [np.zeros((1, 3)), np.full((4, 3), np.nan)])
def test_features_that_say_nothing_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images"):
        moments(bad)


def stripes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two classes of small images: rows or columns of stripes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    lines = torch.where(torch.arange(8) % 2 == 0, 0.8, -0.8).expand(8, 8)
    images = torch.where(labels[:, None, None] == 0, lines, lines.T)[:, None]
    return images + 0.3 * torch.randn(count, 1, 8, 8, generator=generator), labels


@pytest.fixture(scope="module")
def net() -> FeatureNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = FeatureNet(channels=1, classes=2, width=4, stages=2)
    train_feature_net(net, lambda step: stripes(32, step), steps=40)
    return net


def test_a_network_learns_the_classes(net: FeatureNet) -> None:
    images, labels = stripes(200, seed=999)
    assert (net(images).argmax(1) == labels).double().mean() > 0.95
    assert net.features(images).shape == (200, 8)


def test_distance_grows_with_noise(net: FeatureNet) -> None:
    real = image_moments(net, stripes(600, seed=1000)[0].split(100))
    others, _ = stripes(600, seed=1001)
    noise = normal(*others.shape).float()
    found = [
        frechet_distance(real, image_moments(net, (others + level * noise).split(100)))
        for level in (0.0, 0.6, 2.0)
    ]
    assert found[0] < 0.2 * found[1]
    assert found[1] < found[2]


def test_images_do_not_see_each_other(net: FeatureNet) -> None:
    images, _ = stripes(10, seed=7)
    torch.testing.assert_close(net.features(images)[3:4], net.features(images[3:4]))


def test_a_network_survives_its_file(net: FeatureNet, tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    net.save(path, {"accuracy": 0.5})
    loaded, note = load_feature_net(path)
    images, _ = stripes(10, seed=7)
    assert torch.equal(loaded.features(images), net.features(images))
    assert note == {"accuracy": 0.5}


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image_classifier"):
        load_feature_net(tmp_path / "none.safetensors")
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"no tensors here")
    with pytest.raises(UserError, match="no feature network"):
        load_feature_net(path)
