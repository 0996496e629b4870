"""How much thinking a prediction may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from argmind.config import PartConfig, part


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Thinking asked of one prediction; ``None`` means as the model was trained.

    ``candidates``: start this many, keep one per prediction, by ``select``: the least final energy
    (self-verification), or the largest drop from its start. ``accept_lower``: a step that does not
    lower the energy is taken back and halved. ``noisy``: apply the rule's and schedule's training
    noise. ``deadline_s``: no new step after this many seconds, the first one excepted. ``trace``:
    record every step. ``score``: evaluate the answer's own energy, one pass more; without it a
    prediction's energy is that of the candidate before the last step.
    """

    steps: int | None = None
    candidates: int = 1
    select: Literal["min_energy", "max_drop"] = "min_energy"
    stop: PartConfig = part("stop", "fixed")
    accept_lower: bool = False
    noisy: bool = False
    deadline_s: float | None = None
    trace: bool = False
    score: bool = True

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 0:
            raise ValueError(f"steps may not be negative, got {self.steps}")
        if self.candidates < 1:
            raise ValueError(f"candidates must be at least 1, got {self.candidates}")
        if self.deadline_s is not None and not self.deadline_s > 0:
            raise ValueError(f"deadline_s must be positive, got {self.deadline_s}")
        if not self.score and (self.candidates > 1 or self.accept_lower or self.trace):
            raise ValueError(
                "score may be left out only for one candidate, without accept_lower "
                "and trace: they need every energy"
            )
