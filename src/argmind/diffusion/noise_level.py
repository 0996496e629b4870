"""How noisy an image is, where nobody says."""

from __future__ import annotations

from torch import Tensor


def noise_level(images: Tensor) -> Tensor:
    """Standard deviation (B,) of the white noise in images (B, C, H, W).

    Median absolute diagonal Haar detail over 0.6745: pictures are smooth, noise is not. Detail in
    the picture itself is taken for noise, so clean images read a little above zero.
    Source: Donoho & Johnstone 1994.
    """
    height, width = (size // 2 * 2 for size in images.shape[-2:])
    images = images[..., :height, :width]
    detail = images[..., ::2, ::2] - images[..., 1::2, ::2]
    detail = detail - images[..., ::2, 1::2] + images[..., 1::2, 1::2]
    return (detail / 2).abs().flatten(1).median(dim=1).values / 0.6745
