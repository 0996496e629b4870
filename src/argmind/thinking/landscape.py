"""The energy over candidates for a fixed context: what thinking descends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from argmind.energy.base import EnergyModel, Selection
from argmind.nn.conditioning.base import Step
from argmind.spaces.base import Space
from argmind.thinking.gradient import energy_gradient


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

    def slope(self, y: Tensor, step: Step, graph: bool) -> Slope:
        """Energy and its gradient at candidates ``y``; ``graph``: keep it differentiable.

        Energies are summed for the gradient, which couples nothing: each depends on its own
        candidate alone. Cost: one pass and one backward of the candidate stream.
        """
        self.body.ready(self.state, step)
        point = self.space.point(self.hold(y), step)

        def energies(point: Tensor) -> Tensor:
            return self.body.energy(self.state, self.space.embed(point), step)

        gradient, energy = energy_gradient(energies, point, graph)
        return Slope(energy, self._still(gradient), point)

    @torch.no_grad()
    def energy(self, y: Tensor, step: int) -> Tensor:
        """Energy alone, without a graph, where the next step would begin."""
        self.body.ready(self.state, step)
        point = self.space.point(self.hold(self.space.begin(y)), step)
        return self.body.energy(self.state, self.space.embed(point), step)

    def to_foretell(self, energy: Tensor) -> Tensor:
        """Energies as far as they learn to foretell losses.

        Where the body has a level, that is it alone: neither the trunk nor the head is pulled
        away from the task.
        """
        level = self.body.level_to_learn(self.state)
        return energy if level is None else (energy - level[:, None]).detach() + level[:, None]

    def move(self, y: Tensor, point: Tensor, delta: Tensor, graph: bool = True) -> Tensor:
        """The candidate after a step (``graph``: as its slope had); what is known stays."""
        move = self.space.move if graph else self.space.move_by_constant
        return self.hold(move(y, point, delta))

    def hold(self, y: Tensor) -> Tensor:
        """Candidates with the entries that the problem says are known."""
        given = self.body.given(self.state)
        if given is None or given.held is None:
            return y
        return torch.where(given.held[:, None], given.candidate[:, None].to(y), y)

    def _still(self, gradient: Tensor) -> Tensor:
        given = self.body.given(self.state)
        if given is None or given.held is None:
            return gradient
        return gradient.masked_fill(given.held[:, None], 0)

    def narrow(self, active: Tensor) -> tuple[Landscape, Selection] | None:
        """The same landscape for the predictions (B, *P) that are still active."""
        smaller = self.body.narrow(self.state, active)
        if smaller is None:
            return None
        state, selection = smaller
        return Landscape(self.space, self.body, state), selection
