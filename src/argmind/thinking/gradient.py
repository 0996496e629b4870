"""The inner gradient: of energies with respect to where their candidates are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from torch import Tensor


def energy_gradient(
    energies: Callable[[Tensor], Tensor], point: Tensor, graph: bool
) -> tuple[Tensor, Tensor]:
    """(∂ Σ energies / ∂ point, energies) at ``point``; ``graph``: differentiable once more.

    Nothing is differentiated that does not depend on the point, nor with respect to one that is a
    constant. Compiled it is done by ``torch.func``, the one form of an inner gradient that
    compilers see through; uncompiled each of its operations costs more than autograd's own.
    """
    if torch.compiler.is_compiling():
        return _by_transform(energies, point, graph)
    if graph and not point.requires_grad:
        with _casts_not_kept():
            return _by_transform(energies, point, graph)
    with torch.enable_grad():
        if not graph:
            point = point.detach().requires_grad_()
        energy = energies(point)
        (gradient,) = torch.autograd.grad(energy.sum(), point, create_graph=graph)
    return (gradient, energy) if graph else (gradient, energy.detach())


def _by_transform(
    energies: Callable[[Tensor], Tensor], point: Tensor, graph: bool
) -> tuple[Tensor, Tensor]:
    def total(point: Tensor) -> tuple[Tensor, Tensor]:
        energy = energies(point)
        return energy.sum(), energy

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
