"""What a trained next-frame model of ``video_results.py`` is asked on held-out clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.base import Batch
from argmind.eval.budgets import squared_errors
from argmind.eval.evaluate import Evaluation, evaluate
from argmind.eval.rollout import errors_by_horizon, roll_out
from argmind.eval.statistics import auroc, auroc_within, spearman
from argmind.image.pictures import strip, write_png
from argmind.nn.frames import changed
from argmind.predictors.ebt import EBT
from argmind.runs import LoadedRun
from argmind.thinking.budget import Budget
from argmind.train.engine import resolve_precision
from jobs import Row

#: Thinking steps of a model that improves on a first guess.
STEPS = (0, 1, 2, 4, 8)
DRAWS = 8
_PICTURES = 6
#: Of a heat map: clips, and the side of a cell in pixels.
_CLIPS, _CELL = 48, 8
#: From this frame on, those before tell where everything is going.
_IN_MOTION = 1

Array = NDArray[Any]


class NextFrames:
    """One model, asked about what follows every frame of clips."""

    def __init__(self, run: LoadedRun, batches: list[Batch]) -> None:
        self.run, self.predictor, self.batches = run, run.predictor, batches
        self.precision = resolve_precision(run.recipe.training.precision, run.device)

    def next_frames(self) -> Row:
        """Errors as trained and by thinking step, and what energies know of them."""
        evaluate(self.predictor, self.batches[:1], Budget(), precision=self.precision)  # warm up
        result = self._evaluated(Budget())
        errors = squared_errors(result)
        found: Row = {
            "next_frame_error": float(errors.mean()),
            "next_frame_error_in_motion": float(errors[:, _IN_MOTION:].mean()),
            "errors_by_frame": errors.mean(0).tolist(),
            "energies_by_frame": result.energies.mean(0).tolist(),
            "energy_error_rank_correlation": spearman(result.energies, errors),
            "ms_per_frame": result.ms_per_prediction,
            "nfe": float(result.nfe.mean()),
            "diverged": int(result.diverged.sum()),
        }
        if self._improves_on_a_guess:
            found["steps"] = list(STEPS)
            by_step = (squared_errors(self._evaluated(Budget(steps=count))) for count in STEPS)
            found["errors_by_step"] = [float(each.mean()) for each in by_step]
        return found

    def alternatives(self) -> Row:
        """Where the future is open: the best of several answers, how they differ, and energies."""
        random = np.concatenate([batch["random"][:, :-1].numpy() for batch in self.batches])
        result = self._evaluated(Budget())
        told = result.energies[:, _IN_MOTION:], random[:, _IN_MOTION:]
        best, spread = zip(*(self._several(batch) for batch in self.batches), strict=True)
        return {
            "random_frame_error": float(squared_errors(result)[random].mean()),
            "best_of_8_error": float(np.concatenate(best)[random].mean()),
            "spread_of_8": float(np.concatenate(spread)[random].mean()),
            "energy_at_random_frames": float(result.energies[random].mean()),
            "energy_at_other_frames": float(result.energies[~random].mean()),
            "random_frame_auroc": auroc(*told),
            "random_frame_auroc_same_frame": auroc_within(*told),
        }

    def rolled(self, batches: list[Batch], given: int) -> list[float]:
        """Mean squared error of every frame of a roll-out, each from those predicted before it."""
        window = self.batches[0]["frames"].shape[1] - 1
        errors: list[Array] = []
        for index, batch in enumerate(batches):
            here = {name: x.to(self.run.device) for name, x in batch.items()}
            frames = here["frames"]
            generator = torch.Generator(frames.device).manual_seed(index)
            count = frames.shape[1] - given
            made = roll_out(
                self.predictor,
                frames[:, :given],
                count,
                window=window,
                actions=here.get("actions"),
                generator=generator,
            )
            errors.append(errors_by_horizon(made.frames, frames[:, given:]))
        return np.concatenate(errors).mean(0).tolist()

    def draw(self, path: Path) -> None:
        """Next frames of some clips: the last given, several answers, and what came."""
        batch = {name: x[:_PICTURES].to(self.run.device) for name, x in self.batches[0].items()}
        clips, place = torch.arange(len(batch["frames"])), _places(batch)
        problem, _ = self.predictor.task(batch)
        now = batch["frames"][clips, place]
        answers = [changed(now, self._answer(problem, draw)[clips, place]) for draw in range(4)]
        write_png(path, strip([now, *answers, batch["frames"][clips, place + 1]]))

    def draw_energies(self, path: Path) -> None:
        """Energies as a heat map: a row a clip, a column a frame predicted from, darker for more.

        Greys span the 2nd to the 98th percentile; the first frame, which tells no speed, is left
        out.
        """
        energies = self._evaluated(Budget()).energies[:_CLIPS, _IN_MOTION:]
        low, high = np.percentile(energies[np.isfinite(energies)], [2, 98])
        share = ((energies - low) / max(high - low, 1e-12)).clip(0, 1)
        cells = np.kron(255 - 255 * np.nan_to_num(share), np.ones((_CELL, _CELL)))
        write_png(path, cells.astype(np.uint8))

    # -------------------------------------------------------------- answers

    @property
    def _improves_on_a_guess(self) -> bool:
        amortised = self.run.recipe.thinking.start == "amortised"
        return amortised and isinstance(self.predictor, EBT)

    def _evaluated(self, budget: Budget) -> Evaluation:
        return evaluate(self.predictor, self.batches, budget, precision=self.precision)

    def _answer(self, problem: Any, draw: int) -> Tensor:
        generator = torch.Generator(self.run.device).manual_seed(draw)
        return self.predictor.predict(problem, Budget(), generator).output

    def _several(self, batch: Batch) -> tuple[Array, Array]:
        """Least error (B, S) of several answers, and their mean squared distance from the mean."""
        here = {name: x.to(self.run.device) for name, x in batch.items()}
        problem, truth = self.predictor.task(here)
        answers = torch.stack([self._answer(problem, draw) for draw in range(DRAWS)])
        best = np.min([errors_by_horizon(one, truth) for one in answers], axis=0)
        spread = np.mean([errors_by_horizon(one, answers.mean(0)) for one in answers], axis=0)
        return best, spread


def _places(batch: Batch) -> Tensor:
    """Of each clip the frame to be followed: one that chance decides after, or the middle one."""
    random = batch["random"][:, :-1]
    return torch.where(random.any(1), random.int().argmax(1), random.shape[1] // 2)
