"""From noise, or from something noisy, to clean data in a number of network passes.

Rows may start at different times. ``ddpm`` (ancestral, draws noise) and ``ddim`` (draws none) go
with networks that tell ε or clean data; ``euler`` and ``heun`` (two passes a step) with those that
tell a velocity. Any process and row lies on ``x_t = a x + s ε``, so all but ``heun`` are one
formula::

    x_t' = a' x̂ + √(s'² − σ²) ε̂ + σ z,    σ² = η² (s² − (a/a')² s'²) s'² / s²

with η = 1 for ``ddpm`` and 0 otherwise. Source: Ho et al. 2020 (DDPM); Song et al. 2021 (DDIM,
equations 12 and 16); Karras et al. 2022 (Heun).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from argmind.diffusion.process import Process, Scales, Target
from argmind.randomness import Randomness, normal

Method = Literal["ddpm", "ddim", "euler", "heun"]

#: What goes with networks that tell this.
METHODS: dict[Target, tuple[Method, ...]] = {
    "epsilon": ("ddpm", "ddim"),
    "velocity": ("euler", "heun"),
    "clean": ("ddpm", "ddim"),
}

#: ``network(x_t, time)``: what the process's ``clean`` understands.
Network = Callable[[Tensor, Tensor], Tensor]

#: ``hold(x_t, time)``: x_t with what is known put back in (inpainting); clean data at time None.
Hold = Callable[[Tensor, "Tensor | None"], Tensor]


class State(NamedTuple):
    """After a step: where each row is, the clean data it stands for, and what it cost so far."""

    x: Tensor
    clean: Tensor
    steps: Tensor
    passes: Tensor


def as_it_is(x: Tensor, time: Tensor | None) -> Tensor:  # noqa: ARG001
    """Nothing is known."""
    return x


def sample(
    network: Network,
    process: Process,
    method: Method,
    x: Tensor,
    path: list[Tensor],
    generator: Randomness = None,
    clip: float | None = None,
    hold: Hold = as_it_is,
) -> Iterator[State]:
    """Walk rows ``x`` (B, …) along ``path``, as given by :meth:`Process.path`.

    ``clip``: clean estimates are kept within ±clip. A step of length zero costs its row nothing.
    """
    steps = passes = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for step, (time, later) in enumerate(itertools.pairwise(path)):
        moving = later != time
        clean = _clean(network, process, x, time, clip)
        steps, passes = steps + moving, passes + moving
        if method == "heun":
            last = step + 2 == len(path)
            moved = _heun(network, process, x, clean, time, later, last, clip)
            passes = passes + moving * (not last)
        else:
            eta = 1.0 if method == "ddpm" else 0.0
            now, then = process.scales(time, x), process.scales(later, x)
            noise = normal(x.shape, x, generator) if eta else None
            moved = _move(x, clean, now, then, noise)
        moves = moving.reshape(-1, *(1,) * (x.ndim - 1))
        x = hold(torch.where(moves, moved, x), later)
        yield State(x, hold(clean, None), steps, passes)


def _clean(
    network: Network, process: Process, x: Tensor, time: Tensor, clip: float | None
) -> Tensor:
    clean = process.clean(x, network(x, time), time)
    return clean if clip is None else clean.clamp(-clip, clip)


def _move(x: Tensor, clean: Tensor, now: Scales, then: Scales, noise: Tensor | None) -> Tensor:
    """The formula at the top, with η = 1 where there is noise to add."""
    implied = (x - now.data * clean) / now.noise
    if noise is None:
        return then.data * clean + then.noise * implied
    fresh = (now.noise.square() - (now.data / then.data * then.noise).square()).clamp(min=0)
    variance = fresh * (then.noise / now.noise).square()
    kept = (then.noise.square() - variance).clamp(min=0).sqrt()
    return then.data * clean + kept * implied + variance.sqrt() * noise


def _heun(
    network: Network,
    process: Process,
    x: Tensor,
    clean: Tensor,
    time: Tensor,
    later: Tensor,
    last: bool,
    clip: float | None,
) -> Tensor:
    """Euler's step along a flow, corrected by the velocity at its end; the last one is Euler's."""
    now, then = process.scales(time, x), process.scales(later, x)
    stride = then.noise - now.noise
    velocity = (x - clean) / now.noise
    moved = x + stride * velocity
    if last:
        return moved
    there = (moved - _clean(network, process, moved, later, clip)) / then.noise
    return x + stride * (velocity + there) / 2
