"""What the next-frame models do on held-out clips: budgets, roll-outs, doubt, pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.base import Batch
from argmind.data.datasets.images import pixels_of
from argmind.eval.budgets import Measured, measure
from argmind.eval.evaluate import evaluate
from argmind.eval.rollout import errors_by_horizon, roll_out
from argmind.predictors.base import Predictor
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.screen import Screen
from argmind.quickstart.video_findings import VideoFindings
from argmind.report.pictures import Picture, PictureTable
from argmind.runs import load_run
from argmind.thinking.budget import Budget

STEPS = (0, 1, 2, 4, 8)
#: Held-out clips predicted together, and the least that are measured at all.
_BATCH = 16
_PICTURES = 4
#: Frames that a roll-out begins with: nearly all clips have had their turn by then.
_GIVEN = 9
_FRAME_MS = 160


class VideoStudy:
    """Both models at their last step, and the held-out clips they are measured on."""

    def __init__(self, trained: Trained, screen: Screen) -> None:
        self.trained, self.screen = trained, screen
        # The last step, not the best: what both were at after the same data.
        self.models = {
            one.label: load_run(one.folder, which="last").predictor for one in trained.contenders
        }
        self.labels = list(self.models)
        self.trained_steps = trained.thinker.recipe.thinking.steps
        config: Any = trained.thinker.recipe.data
        self.frames = config.frames
        self.given = min(_GIVEN, self.frames - 1)

    def run(self, clock: Clock, data: str) -> Study:
        """Measure as many held-out clips as there is time for, then picture some."""
        ebt, rival = self.models.values()
        grid = [Budget(steps=count) for count in sorted({*STEPS, self.trained_steps})]
        batches = self._batches(clock.study_s, ebt, grid)
        truth = torch.cat([batch["frames"] for batch in batches])
        random = torch.cat([batch["random"] for batch in batches])
        # Of roll-outs only those count from whose start on nothing is left to chance.
        settled = truth[~random[:, self.given - 1 :].any(1)]
        rows = self._measure(ebt, batches, grid, "thinking")
        plain = self._measure(rival, batches, [Budget()], self.labels[1])[0]
        rolled = {label: self._rolled(model, settled) for label, model in self.models.items()}
        findings = VideoFindings(
            trained=self.trained,
            labels=self.labels,
            data=data,
            trained_steps=self.trained_steps,
            random=random[:, :-1].numpy(),
            given=self.given,
            still=errors_by_horizon(truth[:, :-1], truth[:, 1:]),
            rows=rows,
            plain=plain,
            horizons=self._horizons(rolled, settled),
            pictures=self._pictures(rolled, settled),
        )
        return findings.study(clock.phases_s)

    def _batches(self, for_s: float, ebt: Predictor, grid: Sequence[Budget]) -> list[Batch]:
        """Held-out clips that everything can be measured on in this time."""
        data = self.trained.data
        first = list(data.evaluation(_BATCH, _BATCH))
        deepest = grid[-1]
        evaluate(ebt, first, deepest)
        began_s = time.perf_counter()
        evaluate(ebt, first, deepest)
        # The grid, the rival, and roll-outs of both.
        cost = sum(map(_cost, grid)) / _cost(deepest) + 1
        per_clip_s = cost * (time.perf_counter() - began_s) / len(first[0]["frames"])
        return list(data.evaluation(_BATCH, max(_BATCH, int(for_s / per_clip_s))))

    def _measure(
        self, model: Predictor, batches: list[Batch], budgets: Sequence[Budget], what: str
    ) -> list[Measured]:
        clips = sum(len(batch["frames"]) for batch in batches)
        costs = list(map(_cost, budgets))
        with self.screen.counting(what, 100) as tell:

            def report(index: int, samples: int) -> None:
                done = sum(costs[:index]) + costs[index] * samples / clips
                tell(int(100 * done / sum(costs)), f"{_words(budgets[index])}, {clips} clips")

            return measure(model, batches, budgets, seed=self.trained.seed, progress=report)

    # -------------------------------------------------------------- roll-outs

    def _rolled(self, model: Predictor, truth: Tensor) -> Tensor:
        """What a model makes of clips from where nothing is left to chance."""
        device = next(model.parameters()).device
        given, count = truth[:, : self.given].to(device), self.frames - self.given
        return roll_out(model, given, count, window=self.frames - 1).frames.cpu()

    def _horizons(self, rolled: dict[str, Tensor], truth: Tensor) -> dict[str, NDArray[Any]]:
        """Errors (clips, horizon) of both, and of a frame that stays."""
        later = truth[:, self.given :]
        still = truth[:, self.given - 1 : self.given].expand_as(later)
        frames = {**rolled, "nothing changes": still}
        return {label: errors_by_horizon(made, later) for label, made in frames.items()}

    def _pictures(self, rolled: dict[str, Tensor], truth: Tensor) -> list[PictureTable]:
        """Clips as moving pictures, and one of them frame by frame."""
        given = truth[:_PICTURES, : self.given]
        clips = {"truth": truth[:_PICTURES]}
        clips |= {label: torch.cat([given, made[:_PICTURES]], 1) for label, made in rolled.items()}
        count = len(given)
        moving = PictureTable(
            header=[str(number + 1) for number in range(count)],
            labels=list(clips),
            rows=[
                [
                    Picture(pixels_of(clip[index]), f"{label}, clip {index + 1}", "", _FRAME_MS)
                    for index in range(count)
                ]
                for label, clip in clips.items()
            ],
            caption="The first held-out clips that have had their turn in time, not chosen, "
            f"moving: up to frame {self.given - 1} all rows show the truth, from there on each "
            "model is fed with its own predictions.",
        )
        later = range(self.given, self.frames)
        still = PictureTable(
            header=[f"frame {number}" for number in later],
            labels=list(clips),
            rows=[
                [
                    Picture(pixels_of(clip[0, number]), f"{label}, frame {number}")
                    for number in later
                ]
                for label, clip in clips.items()
            ],
            caption=f"The first of them frame by frame, from frame {self.given} on, the first "
            "predicted one.",
        )
        return [moving, still]


def _cost(budget: Budget) -> float:
    """In gradients of one candidate's energy; the context and the last energy count too."""
    return (budget.steps or 0) + 1.0


def _words(budget: Budget) -> str:
    if budget.steps is None:
        return "one pass"
    return f"{budget.steps} step{'' if budget.steps == 1 else 's'}"
