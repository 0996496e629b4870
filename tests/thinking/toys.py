"""A quadratic landscape whose descent can be written down by hand, and a count of its work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from argmind.config import part_config
from argmind.energy.base import EnergyModel
from argmind.energy.two_stream import Rows
from argmind.spaces.base import Embedding, Space
from argmind.thinking.landscape import Landscape
from argmind.thinking.think import Plan

FEATURES = 3


@dataclass(frozen=True)
class Bowls:
    """Energy ``½ a ‖y − c‖² + b·step``, one bowl per prediction (B, S); ``wall``: NaN beyond."""

    curvature: Tensor
    centre: Tensor
    wall: float = float("inf")
    tilt: float = 0.0


class BowlSpace(Space):
    def embed(self, point: Tensor) -> Embedding:
        return Embedding(point, point)

    def decode(self, y: Tensor) -> Tensor:
        return y


class BowlModel(EnergyModel):
    """Counts the candidate rows it sees; leaves rows out if ``compacts``."""

    def __init__(self, compacts: bool = True) -> None:
        super().__init__()
        self.compacts = compacts
        self.rows: list[int] = []

    def predictions(self, state: Bowls) -> torch.Size:
        return state.curvature.shape

    def energy(self, state: Bowls, embedding: Embedding, step: int) -> Tensor:
        y = embedding.input
        self.rows.append(y.shape[0] * y.shape[1] * y.shape[2])
        away = (y - state.centre[:, None]).square().sum(-1)
        energy = 0.5 * state.curvature[:, None] * away + state.tilt * step
        return energy.masked_fill(away.sqrt() >= state.wall, float("nan"))

    def narrow(self, state: Bowls, active: Tensor) -> tuple[Bowls, Rows] | None:
        if not self.compacts or bool(active.all()):
            return None
        rows = active.any(1).nonzero()[:, 0]
        most = int(active.sum(1).max())
        columns = active[rows].int().argsort(dim=1, descending=True, stable=True)[:, :most]
        curvature, centre = state.curvature[rows], state.centre[rows]
        wide = columns[..., None].expand(-1, -1, FEATURES)
        smaller = replace(
            state, curvature=curvature.gather(1, columns), centre=centre.gather(1, wide)
        )
        return smaller, Rows(rows, columns)


@dataclass
class Scene:
    """A landscape of bowls with a start (B, N, S, F) away from every centre."""

    landscape: Landscape
    start: Tensor
    bowls: Bowls
    model: BowlModel = field(init=False)

    def __post_init__(self) -> None:
        body = self.landscape.body
        assert isinstance(body, BowlModel)
        self.model = body


def scene(
    batch: int = 2, count: int = 1, length: int = 3, compacts: bool = True, seed: int = 0, **of: Any
) -> Scene:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    bowls = Bowls(draw(batch, length).exp(), draw(batch, length, FEATURES), **of)
    start = bowls.centre[:, None] + draw(batch, count, length, FEATURES)
    return Scene(Landscape(BowlSpace(), BowlModel(compacts), bowls), start, bowls)


def plan(
    rule: str = "gradient", size: float | Tensor = 0.1, stop: Any = None, **options: Any
) -> Plan:
    """A plan with a constant step size: for all, or one per prediction (B, N, S)."""
    return Plan(
        rule=part_config("rule", rule, **options.pop("rule_options", {})).build(),
        sizes=lambda step: size,  # noqa: ARG005
        stop=None if stop is None else stop.build(),
        **options,
    )
