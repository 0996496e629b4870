"""The inner gradient: of energies with respect to where their candidates are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor


def energy_gradient(
    energies: Callable[[Tensor], Tensor], point: Tensor, graph: bool
) -> tuple[Tensor, Tensor]:
    """(∂ Σ energies / ∂ point, energies) at ``point``; ``graph``: differentiable once more.

    With a graph, or while this is compiled, by ``torch.func``: the one form of an inner gradient
    that compilers see through. Nothing is differentiated that does not depend on the point.
    """
    if not graph and not torch.compiler.is_compiling():
        with torch.enable_grad():
            point = point.detach().requires_grad_()
            energy = energies(point)
            (gradient,) = torch.autograd.grad(energy.sum(), point)
        return gradient, energy.detach()

    def total(point: Tensor) -> tuple[Tensor, Tensor]:
        energy = energies(point)
        return energy.sum(), energy

    with nullcontext() if torch.compiler.is_compiling() else _casts_not_kept():
        gradient, energy = torch.func.grad(total, has_aux=True)(point)
    return (gradient, energy) if graph else (gradient.detach(), energy.detach())


@contextmanager
def _casts_not_kept() -> Generator[None]:
    """Autocast keeps no weights in low precision meanwhile.

    One cast inside of a transform is part of it: used again outside, it would pass on no gradient.
    """
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
