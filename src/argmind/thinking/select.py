"""Self-verification: of several candidates keep, per prediction, the one the energy prefers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from argmind.thinking.think import Thought


def choose(thought: Thought, how: Literal["min_energy", "max_drop"]) -> Tensor:
    """Index (B, *P) of the kept candidate.

    ``min_energy``: least final energy; ``max_drop``: largest fall from the first energy to the
    last; where no step was taken all fall alike. Diverged candidates are taken only where there is
    nothing else.
    """
    if thought.energy is None:
        raise ValueError("choosing among candidates needs a scored thought")
    merit = thought.energy
    if how == "max_drop":
        merit = thought.energy - thought.energies[0]
    worst = torch.full_like(merit, float("inf"))
    # Finite, so that even an overflowing difference is better than having diverged.
    return torch.where(thought.diverged, worst, merit.nan_to_num()).argmin(dim=1)


def pick(x: Tensor, index: Tensor) -> Tensor:
    """Rows (B, *P, …) of ``x`` (B, N, *P, …) chosen by ``index`` (B, *P)."""
    wide = index.reshape(len(x), 1, *index.shape[1:], *(1,) * (x.ndim - index.ndim - 1))
    return x.gather(1, wide.expand(-1, 1, *x.shape[2:])).squeeze(1)
