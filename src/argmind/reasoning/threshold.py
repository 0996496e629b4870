"""From which energy on an answer is not believed: learned from problems that were held out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.errors import UserError
from argmind.eval.problems import solve
from argmind.eval.results import write_atomically
from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget

FILE = "thresholds.json"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Answers with more energy than this are not believed.

    Energies compare only between answers of equal steps and candidates. ``right_kept`` and
    ``wrong_refused`` are shares of the held-out problems that it was learned from, if it was.
    """

    energy: float
    steps: int
    candidates: int
    right_kept: float | None = None
    wrong_refused: float | None = None
    problems: int = 0

    @property
    def words(self) -> str:
        """In words."""
        learned = ""
        if self.right_kept is not None and self.wrong_refused is not None:
            learned = (
                f": of {self.problems} held-out problems it keeps {self.right_kept:.1%} of the "
                f"right answers and refuses {self.wrong_refused:.1%} of the wrong ones"
            )
        budget = f"{self.steps} steps, {self.candidates} candidates"
        return f"threshold {self.energy:.4g} at {budget}{learned}"

    def doubts(self, energy: float) -> str:
        """Why an answer is not believed; empty where it is."""
        if energy <= self.energy:
            return ""
        return f"its energy {energy:.3f} lies above {self.energy:.3f}"


def calibrate(
    predictor: Predictor, data: Any, budget: Budget, limit: int, seed: int = 0
) -> Threshold:
    """The threshold that keeps the most right answers and refuses the most wrong ones.

    Of all held-out splits together, ``limit`` problems of each; both shares count alike.

    Raises:
        UserError: all answers are right, or all wrong, so that there is nothing to tell apart.
    """
    rows = [solve(predictor, data, split, budget, limit=limit, seed=seed) for split in data.splits]
    right = np.concatenate([row.solved for row in rows])
    energies = np.concatenate([row.evaluation.energies.ravel() for row in rows])
    if right.all() or not right.any():
        which = "right" if right.all() else "wrong"
        raise UserError(
            f"all {len(right)} held-out problems are answered {which} within this budget: there is "
            "nothing that an energy could tell apart. Ask for another budget (--steps)."
        )
    energy, kept, refused = best_threshold(energies, right)
    return Threshold(
        energy=energy,
        steps=steps_of(budget, predictor),
        candidates=budget.candidates,
        right_kept=kept,
        wrong_refused=refused,
        problems=len(right),
    )


def best_threshold(
    energies: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """The threshold with the largest sum of both shares, and the shares.

    It lies midway between two energies; what is not finite is never believed.
    """
    order = np.argsort(np.where(np.isfinite(energies), energies, np.inf), kind="stable")
    sorted_, good = energies[order], right[order]
    kept = good.cumsum() / good.sum()
    refused = 1 - (~good).cumsum() / (~good).sum()
    # Only where the next energy is another one.
    following = np.append(sorted_[1:], np.inf)
    usable = np.isfinite(sorted_) & (following > sorted_)
    best = int(np.where(usable, kept + refused, -np.inf).argmax())
    above = following[best] if np.isfinite(following[best]) else sorted_[best]
    return float((sorted_[best] + above) / 2), float(kept[best]), float(refused[best])


def steps_of(budget: Budget, predictor: Predictor) -> int:
    """Those of a budget, which may leave them to the model."""
    return predictor.trained_steps if budget.steps is None else budget.steps


# ------------------------------------------------------------------ beside the run


def keep(folder: Path, threshold: Threshold) -> None:
    """Write it beside the run, in the place of an older one for the same budget."""
    others = [one for one in kept(folder) if _key(one) != _key(threshold)]
    plain = [asdict(one) for one in (*others, threshold)]
    write_atomically(Path(folder) / FILE, json.dumps(plain, indent=1) + "\n")


def kept(folder: Path) -> Sequence[Threshold]:
    """All thresholds of a run.

    Raises:
        UserError: the file is damaged.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return []
    try:
        return [Threshold(**plain) for plain in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): remove it and calibrate again.") from error


def find(folder: Path, budget: Budget, predictor: Predictor) -> Threshold | None:
    """The threshold of this budget, if there is one."""
    wanted = (steps_of(budget, predictor), budget.candidates)
    return next((one for one in kept(folder) if _key(one) == wanted), None)


def _key(one: Threshold) -> tuple[int, int]:
    return one.steps, one.candidates
