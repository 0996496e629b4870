"""What a trained model of ``reasoning_results.py`` is asked on held-out problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.config import part_config
from argmind.eval.adaptive import SHARES
from argmind.eval.problems import Solved, solve
from argmind.eval.statistics import auroc, spearman
from argmind.eval.stopping import typical_change
from argmind.predictors._answers import TurnPredictor
from argmind.predictors.annealed import Annealed
from argmind.predictors.base import Predictor
from argmind.predictors.ebt import EBT
from argmind.thinking.budget import Budget
from jobs import Row

#: Budgets, by name, in trained numbers of steps.
FACTORS = {"T": 1, "2T": 2, "4T": 4, "8T": 8}
#: Budgets of which the best of several candidates is asked too.
VERIFIED = ("T", "4T")
CANDIDATES = 8
LONGEST = "8T"
#: No budget is larger, but for the trained one: rivals whose trained budget is large stop earlier.
_MOST_STEPS = 100
#: Calibration of a stop: so much of the problems solved may be lost.
_LOST = 0.002
#: Problems (or their candidates) at a time; a GPU likes more.
_BATCH, _GPU_BATCH = 250, 1000


class Solving:
    """One model on all splits of its problems."""

    def __init__(self, predictor: Predictor, data: Any, seed: int) -> None:
        self.predictor, self.data, self.seed = predictor, data, seed
        self.device = next(predictor.parameters()).device
        self.trained_steps = predictor.trained_steps
        steps = {name: factor * self.trained_steps for name, factor in FACTORS.items()}
        self.steps = {n: count for n, count in steps.items() if n == "T" or count <= _MOST_STEPS}

    def measure(self) -> Row:
        """Problems solved and losses at every budget; energies as judges; stopping by itself."""
        found: Row = {"trained_steps": self.trained_steps}
        solved = {split: dict(self._budgets(split)) for split in self.data.splits}
        found["splits"] = {
            split: {name: _plain(one) for name, one in rows.items()}
            for split, rows in solved.items()
        }
        if self.predictor.thinks:
            found["energy"] = {split: _judged(rows) for split, rows in solved.items()}
        stops = isinstance(self.predictor, EBT) and not isinstance(self.predictor, Annealed)
        if stops and LONGEST in self.steps and "symbols" in self.data.model_inputs:
            longest = {split: rows[LONGEST] for split, rows in solved.items()}
            found["adaptive"] = Stopping(self, longest).measure()
        return found

    def _budgets(self, split: str) -> Iterator[tuple[str, Solved]]:
        if not self.predictor.thinks:
            yield "T", self.ask(split, Budget())
            return
        for name, steps in self.steps.items():
            yield name, self.ask(split, Budget(steps=steps))
        if isinstance(self.predictor, TurnPredictor):  # gives one answer, whatever is asked
            return
        for name in VERIFIED:
            if name in self.steps:
                several = Budget(steps=self.steps[name], candidates=CANDIDATES)
                yield f"{name}_best_of_{CANDIDATES}", self.ask(split, several)

    def ask(self, split: str, budget: Budget) -> Solved:
        """All held-out problems of a split within a budget."""
        # As many candidates at a time, whatever the budget.
        most = _GPU_BATCH if self.device.type == "cuda" else _BATCH
        size = max(1, most // budget.candidates)
        return solve(self.predictor, self.data, split, budget, batch_size=size, seed=self.seed)


def _plain(one: Solved) -> Row:
    return {
        "steps": one.budget.steps,
        "problems": len(one.solved),
        "solved": float(one.solved.mean()),
        "loss": float(one.evaluation.losses.mean()),
        "nfe": one.mean_nfe,
        "ms_per_problem": one.evaluation.ms_per_prediction,
        "diverged": int(one.evaluation.diverged.sum()),
    }


def _judged(rows: Mapping[str, Solved]) -> Row:
    """How well low energy (or unsureness) tells right from wrong, and small from large losses."""
    one = rows["4T"] if "4T" in rows else rows["T"]
    energies, losses = one.evaluation.energies.ravel(), one.evaluation.losses.ravel()
    return {"auroc": auroc(-energies, one.solved), "loss_rank": spearman(energies, losses)}


class Stopping:
    """A stop where the energy has settled, beside the longest budget.

    How little it must change is chosen on every other problem, as the most that loses none of
    them but a few; what is told is measured on the others.
    """

    def __init__(self, solving: Solving, longest: Mapping[str, Solved]) -> None:
        self.solving, self.longest = solving, longest

    def measure(self) -> Row:
        """Of all splits together, and of each."""
        tried = [self._at(share) for share in SHARES]
        full = self._share_solved(self.longest, chosen=True)
        good = [one for one in tried if self._share_solved(one, chosen=True) >= full - _LOST]
        rows = min(good or tried[-1:], key=lambda one: self._nfe(one, chosen=True))
        found = self._told(rows, self.longest)
        found["share"] = SHARES[tried.index(rows)]
        found["splits"] = {
            split: self._told({split: rows[split]}, {split: self.longest[split]}) for split in rows
        }
        return found

    def _at(self, share: float) -> dict[str, Solved]:
        solving = self.solving
        batch = next(solving.data.evaluation(_BATCH))
        here = {name: x.to(solving.device) for name, x in batch.items()}
        problem, _ = solving.predictor.task(here)
        tolerance = share * typical_change(solving.predictor, problem)
        stop = part_config("stop", "plateau", tolerance=tolerance)
        steps = FACTORS[LONGEST] * solving.trained_steps
        budget = Budget(steps=steps, stop=stop)
        return {split: solving.ask(split, budget) for split in self.longest}

    def _told(self, rows: Mapping[str, Solved], longest: Mapping[str, Solved]) -> Row:
        steps = _joined({split: one.evaluation.steps.ravel() for split, one in rows.items()})
        harder = _joined({split: one.difficulty for split, one in rows.items()})
        full_nfe = self._nfe(longest, chosen=False)
        return {
            "solved": self._share_solved(rows, chosen=False),
            "solved_longest": self._share_solved(longest, chosen=False),
            "nfe_ratio": self._nfe(rows, chosen=False) / full_nfe,
            "steps_difficulty_rank": spearman(steps, harder),
        }

    def _share_solved(self, rows: Mapping[str, Solved], chosen: bool) -> float:
        parts = {split: one.solved.astype(float) for split, one in rows.items()}
        return float(_joined(parts, chosen).mean())

    def _nfe(self, rows: Mapping[str, Solved], chosen: bool) -> float:
        parts = {split: one.evaluation.nfe.ravel() for split, one in rows.items()}
        return float(_joined(parts, chosen).mean())


def _joined(parts: Mapping[str, NDArray[Any]], chosen: bool = False) -> NDArray[Any]:
    """Every other problem of all splits: those that the stop was chosen on, or the rest."""
    return np.concatenate([part[0 if chosen else 1 :: 2] for part in parts.values()])
