"""Data whose perfect network is known: every number drawn from N(MEAN, STD²)."""

from __future__ import annotations

import torch
from torch import Tensor

from argmind.diffusion.process import Process, process_for
from argmind.diffusion.sampling import Method

MEAN, STD = 0.4, 0.3

PROCESSES: dict[Method, Process] = {
    "ddpm": process_for("epsilon"),
    "ddim": process_for("epsilon"),
    "euler": process_for("velocity"),
    "heun": process_for("velocity"),
}


class Perfect:
    """The conditional expectation of what is asked, and a count of how often it was."""

    def __init__(self, process: Process) -> None:
        self.process, self.calls = process, 0

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        self.calls += 1
        scales = self.process.scales(time, x)
        share = scales.noise / (scales.data**2 * STD**2 + scales.noise**2)
        noise = share * (x - scales.data * MEAN)
        clean = self.clean(x, time)
        return self.process.target(clean, noise, time)

    def clean(self, x: Tensor, time: Tensor) -> Tensor:
        """``E[x | x_t]``."""
        scales = self.process.scales(time, x)
        gain = scales.data * STD**2 / (scales.data**2 * STD**2 + scales.noise**2)
        return MEAN + gain * (x - scales.data * MEAN)


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)
