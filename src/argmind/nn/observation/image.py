"""Camera pictures, read by a small residual network that is trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.errors import UserError
from argmind.nn.flops import linear_flops
from argmind.nn.observation.base import ObservationEncoder, Observations, asked, size_of
from argmind.registry import register

#: Channels that are normalised together. Source: Diffusion Policy, EBT-Policy.
_CHANNELS_A_GROUP = 16


@register("observation", "image")
class ImageEncoder(ObservationEncoder):
    """Where in the picture each feature is seen, and the state beside it if there is one.

    Every stage halves the picture and has one residual block, with group rather than batch
    normalisation: samples do not couple, and averages of weights stay right. Each channel of the
    last is read as the place of its features: the mean position under a softmax over pixels.
    Source: Levine et al. 2016 (spatial softmax), Chi et al. 2023 (Diffusion Policy).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        channels: tuple[int, ...] = (32, 64, 128)

        def __post_init__(self) -> None:
            if not self.channels or min(self.channels) < 1:
                raise ValueError(f"channels must be numbers above 0, got {self.channels}")

    def __init__(self, config: Config, dim: int, observations: Observations) -> None:
        super().__init__()
        self.size = size_of(observations, "image", config.part_name)
        self.state_size = tuple(observations.get("state", ()))
        widths = (self.size[0], *config.channels)
        _require_places(self.size, len(config.channels))
        self.stages = nn.ModuleList(map(ResidualStage, widths[:-1], widths[1:]))
        state = self.state_size[0] if self.state_size else 0
        self.linear = nn.Linear(2 * widths[-1] + state, dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, problem: Mapping[str, Tensor]) -> Tensor:
        """(B, F, D)."""
        pictures = asked(problem, "image", self.size).to(self.linear.weight)
        x = pictures.flatten(0, 1)
        for stage in self.stages:
            x = stage(x)
        rows = places(x).unflatten(0, pictures.shape[:2])
        if self.state_size:
            state = asked(problem, "state", self.state_size).to(rows)
            rows = torch.cat([rows, state], dim=-1)
        return self.linear(rows)

    def flops(self) -> float:
        """``2 k² C C'`` a pixel of every convolution's output, and the linear layer."""
        total, (height, width) = linear_flops(self.linear), self.size[1:]
        for stage in self.stages:
            height, width = (height + 1) // 2, (width + 1) // 2
            convolutions = (x for x in stage.modules() if isinstance(x, nn.Conv2d))
            total += 2.0 * height * width * sum(x.weight.numel() for x in convolutions)
        return total


def _require_places(size: tuple[int, ...], stages: int) -> None:
    if min(size[1:]) <= 2**stages:
        raise UserError(
            f"pictures of {size[1]}×{size[2]} have one place left after {stages} halvings: give "
            "observation.channels fewer numbers, or larger pictures."
        )


class ResidualStage(nn.Module):
    """Half the size, and one residual block: (B, C, H, W) → (B, C', ⌈H/2⌉, ⌈W/2⌉)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        groups = max(1, outputs // _CHANNELS_A_GROUP)
        groups = groups if outputs % groups == 0 else 1
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """``silu(skip(x) + block(x))``."""
        first, second, skip = self.norms
        inner = F.silu(first(self.first(x)))
        return F.silu(skip(self.skip(x)) + second(self.second(inner)))


def places(x: Tensor) -> Tensor:
    """Mean position, in [−1, 1]², of each channel's features (B, C, H, W): (B, 2 C)."""
    shares = x.flatten(2).softmax(-1).unflatten(2, x.shape[2:])
    down, across = (torch.linspace(-1, 1, side, device=x.device).to(x) for side in x.shape[2:])
    return torch.cat([shares.sum(3) @ down, shares.sum(2) @ across], dim=1)
