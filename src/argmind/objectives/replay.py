"""A memory of past candidates, from which later batches go on thinking."""

from __future__ import annotations

import torch
from torch import Tensor


class ReplayBuffer:
    """First in, first out: the last ``size`` fresh samples and their final candidates.

    Drawn samples stay in, and are not stored a second time.
    Source: Energy-Based Transformers, section 3.3 (192 samples on text).
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.stored: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(next(iter(self.stored.values()))) if self.stored else 0

    def push(self, samples: dict[str, Tensor]) -> None:
        """Add samples (rows of every tensor); the oldest beyond ``size`` leave."""
        for name, rows in samples.items():
            # A sample that diverged starts over from zero; NaN must not live on in here.
            fresh = rows.detach().nan_to_num(0.0, 0.0, 0.0).clone()
            old = self.stored.get(name)
            joined = fresh if old is None else torch.cat([old, fresh])
            self.stored[name] = joined[-self.size :].clone()

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """``count`` stored samples, without repetition; all of them if there are fewer."""
        device = next(iter(self.stored.values())).device
        order = torch.randperm(len(self), generator=generator, device=generator.device)
        chosen = order[:count].to(device)
        return {name: rows[chosen] for name, rows in self.stored.items()}

    def joined(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """A batch grown by half with stored samples, and these samples' candidates."""
        fresh = len(next(iter(batch.values())))
        drawn = self.draw(max(1, fresh // 2), generator)
        grown = {name: torch.cat([rows, drawn[name]]) for name, rows in batch.items()}
        return grown, drawn["candidate"]

    def state(self) -> dict[str, Tensor]:
        """Everything, for a checkpoint."""
        return dict(self.stored)

    def restore(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Continue from a checkpoint."""
        self.stored = {name: rows.to(device) for name, rows in state.items()}
