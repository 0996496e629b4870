"""The energy over candidates for a fixed context: what thinking descends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from argmind.energy.base import EnergyModel, Selection
from argmind.spaces.base import Space


class Slope(NamedTuple):
    """One energy-gradient evaluation."""

    energy: Tensor  # (B, N, *P)
    gradient: Tensor  # shape of the point
    point: Tensor  # where it was taken


@dataclass
class Landscape:
    """A space, an energy model and an encoded context, seen as a function of candidates alone."""

    space: Space
    body: EnergyModel
    state: Any

    def slope(self, y: Tensor, step: int, graph: bool) -> Slope:
        """Energy and its gradient at candidates ``y``; ``graph``: keep it differentiable.

        Energies are summed for the gradient, which couples nothing: each depends on its own
        candidate alone. Cost: one pass and one backward of the candidate stream.
        """
        with torch.enable_grad():
            point = self.space.point(y, step)
            constant = not point.requires_grad
            if constant:
                point = point.detach().requires_grad_()
            energy = self.body.energy(self.state, self.space.embed(point), step)
            (gradient,) = torch.autograd.grad(energy.sum(), point, create_graph=graph)
        if not graph:
            energy = energy.detach()
            constant = constant or not y.requires_grad
        # A constant point is handed on as one: nothing may accumulate a gradient in it.
        return Slope(energy, gradient, point.detach() if constant else point)

    @torch.no_grad()
    def energy(self, y: Tensor, step: int) -> Tensor:
        """Energy alone, without a graph."""
        return self.body.energy(self.state, self.space.embed(self.space.point(y, step)), step)

    def narrow(self, active: Tensor) -> tuple[Landscape, Selection] | None:
        """The same landscape for the predictions (B, *P) that are still active."""
        smaller = self.body.narrow(self.state, active)
        if smaller is None:
            return None
        state, selection = smaller
        return Landscape(self.space, self.body, state), selection
