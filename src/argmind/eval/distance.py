"""How far a set of images is from another: the Fréchet distance of a network's features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.eval.feature_net import FeatureNet

Array = NDArray[Any]


@dataclass(frozen=True)
class Moments:
    """Mean (D,) and covariance (D, D) of ``count`` feature vectors."""

    mean: Array
    covariance: Array
    count: int


def moments(features: Array) -> Moments:
    """Of features (n, D), in double precision.

    Raises:
        ValueError: fewer than two vectors, or a number that is not finite.
    """
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 images, got {len(features)}")
    if not np.isfinite(features).all():
        raise ValueError("some images have features that are not finite")
    wide = features.astype(np.float64)
    return Moments(wide.mean(0), np.cov(wide, rowvar=False).reshape(wide.shape[1], -1), len(wide))


def frechet_distance(a: Moments, b: Moments) -> float:
    """``‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½)``.

    The distance of two normal distributions (Dowson & Landau 1982), as in the FID of Heusel et al.
    2017, whose features are another network's: values compare with each other, not with published
    ones. It is larger for fewer images, so compare at equal counts.
    """
    root = _root(a.covariance)
    # The trace of (Σ_a Σ_b)^½ is that of the symmetric (Σ_a^½ Σ_b Σ_a^½)^½.
    overlap = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(min=0)).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return float(np.square(a.mean - b.mean).sum() + max(spread, 0.0))


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


@torch.no_grad()
def image_moments(net: FeatureNet, batches: Iterable[Tensor]) -> Moments:
    """Moments of the features of images (B, C, H, W) in [-1, 1], batch by batch."""
    device = next(net.parameters()).device
    rows = [net.features(images.to(device)).double().cpu().numpy() for images in batches]
    return moments(np.concatenate(rows))
