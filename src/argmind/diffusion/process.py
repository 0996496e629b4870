"""Gaussian processes that turn data into noise: ``x_t = a_t x + s_t ε``.

Shapes: rows B of anything, (B, …); times (B,). A network is trained to give one combination of x
and ε from x_t and t; from it both can be had back.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from argmind.randomness import Randomness, uniform

Target = Literal["epsilon", "velocity", "clean"]
Betas = Literal["linear", "cosine"]


class Scales(NamedTuple):
    """How much data and how much noise there is at given times, each shaped to broadcast."""

    data: Tensor
    noise: Tensor


class Process(nn.Module):
    """A noising process; times are numbers whose meaning is its own."""

    #: What networks are trained to say.
    tells: Target

    def scales(self, time: Tensor, like: Tensor) -> Scales:
        """``a_t`` and ``s_t`` (B, 1, …) for times (B,)."""
        raise NotImplementedError

    def embedded(self, time: Tensor) -> Tensor:
        """Times as the network is told them, in [0, 1]."""
        raise NotImplementedError

    def draw(self, like: Tensor, generator: Randomness) -> Tensor:
        """Training times (B,) for rows ``like`` (B, …)."""
        raise NotImplementedError

    def most_noise(self, like: Tensor) -> Tensor:
        """The times (B,) at which only noise is left."""
        raise NotImplementedError

    def time_of(self, level: Tensor) -> Tensor:
        """Times whose noise-to-data ratio ``s_t / a_t`` is (nearest to) ``level`` (B,)."""
        raise NotImplementedError

    def path(self, start: Tensor, steps: int) -> list[Tensor]:
        """``steps`` + 1 times (B,) from ``start`` down to clean data, evenly spaced."""
        raise NotImplementedError

    def target(self, x: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """What the network should say of ``x_t``."""
        raise NotImplementedError

    def clean(self, x_t: Tensor, said: Tensor, time: Tensor) -> Tensor:
        """The data that what the network said stands for."""
        raise NotImplementedError

    def noised(self, x: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """``a_t x + s_t ε``."""
        scales = self.scales(time, x)
        return scales.data * x + scales.noise * noise


class VariancePreserving(Process):
    """``a² + s² = 1`` over discrete times 0 … T−1, the network telling ε; clean data is time −1.

    ``linear``: β from 1e-4 to 0.02 (DDPM, DiT); ``cosine``: ``squaredcos_cap_v2`` of diffusers.
    Source: Ho et al. 2020 (DDPM); Nichol & Dhariwal 2021 (cosine).
    """

    tells = "epsilon"

    data_share: Tensor  # (T + 1,) float64: a² at times −1 … T−1

    def __init__(self, betas: Betas = "linear", times: int = 1000) -> None:
        super().__init__()
        self.betas: Betas = betas
        self.times = times
        share = torch.cumprod(1 - beta_schedule(betas, times), 0)
        share = torch.cat([share.new_ones(1), share])
        self.register_buffer("data_share", share, persistent=False)

    def scales(self, time: Tensor, like: Tensor) -> Scales:
        """``√ᾱ_t`` and ``√(1 − ᾱ_t)``."""
        share = column(self.data_share[time.long() + 1], like)
        return Scales(share.sqrt().to(like.dtype), (1 - share).sqrt().to(like.dtype))

    def embedded(self, time: Tensor) -> Tensor:
        """``t / T``."""
        return time / self.times

    def draw(self, like: Tensor, generator: Randomness) -> Tensor:
        """Uniform over 0 … T−1."""
        return (uniform((len(like),), like, generator).double() * self.times).floor()

    def most_noise(self, like: Tensor) -> Tensor:
        """``T − 1``."""
        return torch.full((len(like),), self.times - 1.0, device=like.device, dtype=torch.float64)

    def time_of(self, level: Tensor) -> Tensor:
        """The time with the nearest ``log(s / a)``; level 0 is time −1."""
        share = self.data_share[1:]
        known = 0.5 * ((1 - share) / share).log()
        wanted = level.double().log()
        above = torch.searchsorted(known, wanted).clamp(max=self.times - 1)
        below = (above - 1).clamp(min=0)
        nearer = (wanted - known[below]).abs() <= (known[above] - wanted).abs()
        return torch.where(level > 0, torch.where(nearer, below, above), -1).double()

    def path(self, start: Tensor, steps: int) -> list[Tensor]:
        """Rounded to whole times ("trailing" spacing); near the end some steps may stand still."""
        return [(start - (start + 1) * step / steps).round() for step in range(steps + 1)]

    def target(self, x: Tensor, noise: Tensor, time: Tensor) -> Tensor:  # noqa: ARG002
        """``ε``."""
        return noise

    def clean(self, x_t: Tensor, said: Tensor, time: Tensor) -> Tensor:
        """``(x_t − s ε) / a``."""
        scales = self.scales(time, x_t)
        return (x_t - scales.noise * said) / scales.data


class Restoring(VariancePreserving):
    """The same process, the network telling x itself.

    What is told at the most noise is an estimate already, where ε there says nothing of x.
    Source: Ho et al. 2020 (section 3.2); Salimans & Ho 2022.
    """

    tells = "clean"

    def target(self, x: Tensor, noise: Tensor, time: Tensor) -> Tensor:  # noqa: ARG002
        """``x``."""
        return x

    def clean(self, x_t: Tensor, said: Tensor, time: Tensor) -> Tensor:  # noqa: ARG002
        """What was said."""
        return said


class Flow(Process):
    """``x_t = (1 − t) x + t ε`` for t in [0, 1], the network telling the velocity ``ε − x``.

    Source: Lipman et al. 2023 (flow matching), Liu et al. 2023 (rectified flow); for diffusion
    transformers Ma et al. 2024 (SiT).
    """

    tells = "velocity"

    def scales(self, time: Tensor, like: Tensor) -> Scales:
        """``1 − t`` and ``t``."""
        noise = column(time, like).to(like.dtype)
        return Scales(1 - noise, noise)

    def embedded(self, time: Tensor) -> Tensor:
        """``t``."""
        return time

    def draw(self, like: Tensor, generator: Randomness) -> Tensor:
        """Uniform over [0, 1]."""
        return uniform((len(like),), like, generator).double()

    def most_noise(self, like: Tensor) -> Tensor:
        """1."""
        return torch.ones(len(like), device=like.device, dtype=torch.float64)

    def time_of(self, level: Tensor) -> Tensor:
        """``level / (1 + level)``."""
        return (level / (1 + level)).double()

    def path(self, start: Tensor, steps: int) -> list[Tensor]:
        """Evenly spaced."""
        return [start * (1 - step / steps) for step in range(steps + 1)]

    def target(self, x: Tensor, noise: Tensor, time: Tensor) -> Tensor:  # noqa: ARG002
        """``ε − x``."""
        return noise - x

    def clean(self, x_t: Tensor, said: Tensor, time: Tensor) -> Tensor:
        """``x_t − t v``."""
        return x_t - self.scales(time, x_t).noise * said


def process_for(target: Target, betas: Betas = "linear") -> Process:
    """The process of networks that tell ``epsilon`` or ``clean`` (DDPM), or ``velocity`` (flow)."""
    if target == "velocity":
        return Flow()
    return VariancePreserving(betas) if target == "epsilon" else Restoring(betas)


def beta_schedule(name: Betas, times: int) -> Tensor:
    """Noise added at each of ``times`` steps (float64)."""
    if name == "linear":
        return torch.linspace(1e-4, 0.02, times, dtype=torch.float64)
    at = torch.arange(times + 1, dtype=torch.float64) / times
    left = ((at + 0.008) / 1.008 * math.pi / 2).cos().square()
    return (1 - left[1:] / left[:-1]).clamp(max=0.999)


def column(x: Tensor, like: Tensor) -> Tensor:
    """One number a row, (B,), against rows ``like`` (B, …)."""
    return x.reshape(-1, *(1,) * (like.ndim - 1))
