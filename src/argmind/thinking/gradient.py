"""The inner gradient: of energies with respect to where their candidates are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from torch import Tensor

from argmind.nn.differentiated import once


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
    if not graph:
        return _once(energies, point)
    with torch.enable_grad():
        energy = energies(point)
        (gradient,) = torch.autograd.grad(energy.sum(), point, create_graph=True)
    return gradient, energy


def _once(energies: Callable[[Tensor], Tensor], point: Tensor) -> tuple[Tensor, Tensor]:
    point = point.detach().requires_grad_()
    with torch.enable_grad(), once():
        energy = energies(point)
        (gradient,) = torch.autograd.grad(energy.sum(), point)
    return gradient, energy.detach()


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
