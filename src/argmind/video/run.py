"""A loaded video run: clips in, what comes next out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argmind.data.base import Batch
from argmind.data.datasets.images import UNIT_FILE
from argmind.data.images.decode import Fit, Shape
from argmind.data.order import row_seeds
from argmind.data.storage import read_record
from argmind.errors import UserError
from argmind.eval.rollout import RollOut, roll_out
from argmind.runs import LoadedRun, Which, load_run
from argmind.thinking.budget import Budget
from argmind.video.files import read_clip

#: What random numbers of a clip are drawn for.
_THINKING = 3


@dataclass(frozen=True)
class VideoRun:
    """A run on clips; of every model alike, since all of them are predictors."""

    run: LoadedRun
    #: Of a run on features or latents: what of them is 1 to the model.
    unit: float | None = None

    @property
    def predictor(self) -> Any:
        """The model itself."""
        return self.run.predictor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its frames."""
        size = self.run.inputs["image_size"]
        return self.run.inputs["channels"], size, size

    @property
    def window(self) -> int:
        """The most frames that it learnt to look back on."""
        return self.run.inputs["frames"] - 1

    @property
    def told_actions(self) -> bool:
        """Must it be told what is done at every frame?"""
        return self.run.inputs["actions"] > 0

    def blank(self, count: int) -> Batch:
        """A batch of nothing, as long and wide as a real one."""
        length, actions = self.run.inputs["frames"], self.run.inputs["actions"]
        batch = {"frames": torch.zeros(count, length, *self.shape)}
        return batch | ({"actions": torch.zeros(count, length, actions)} if actions else {})

    def read(self, spec: str, *, fit: Fit = "exact", convert: bool = False) -> Tensor:
        """A clip (T, C, H, W) in [-1, 1], as the model takes it; see :func:`read_clip`."""
        if self.unit is not None:
            raise UserError(
                f"{self.run.folder} is a run on features, which no picture file holds: go on with "
                "held-out clips, or from Python with imagine(features[..., None, None] / run.unit)."
            )
        channels, size, _ = self.shape
        return read_clip(spec, Shape(image_size=size, channels=channels, fit=fit, convert=convert))

    def held_out(self, count: int, frames: int) -> Batch:
        """The first clips that training leaves out, of so many frames each; files may end before.

        Raises:
            UserError: a package that makes them is missing, the scene is longer than that, or the
                files are gone or others.
        """
        data: Any = self.run.recipe.data
        if data.source is not None:
            made = data.build(seed=0)
            if made.model_inputs != self.run.inputs or made.files.unit != self.unit:
                raise UserError(f"{data.source} is not what {self.run.folder} was trained on.")
            return made.held_out(count, frames)
        longer = replace(data, frames=frames, clips=1, eval_clips=count)
        return next(iter(longer.build(seed=0).evaluation(count)))

    def imagine(
        self,
        frames: Tensor,
        count: int = 20,
        budget: Budget | None = None,
        *,
        actions: Tensor | None = None,
        seed: int = 0,
        first: int = 0,
        **thinking: Any,
    ) -> RollOut:
        """Go on with clips (B, S, C, H, W) for ``count`` frames, each from those before it.

        Args:
            actions: (B, S + count − 1 or more, A), what is done at each frame, given or to come.
            first: number of the first clip, where they are answered in parts.
            thinking: fields of :class:`Budget`: ``imagine(frames, 20, steps=4)``.

        Raises:
            UserError: frames of another size or not finite, no frame to begin with, missing
                actions, or a budget that cannot be used.
        """
        if tuple(frames.shape[2:]) != self.shape:
            raise UserError(
                f"frames are (channels, height, width) = {tuple(frames.shape[2:])}, and "
                f"{self.run.folder} is a run on {self.shape}."
            )
        if not frames.isfinite().all():
            count = int((~frames.isfinite()).sum())
            raise UserError(f"{count} values of the given frames are NaN or infinite.")
        if self.told_actions and actions is None:
            raise UserError(
                f"{self.run.folder} is told what is done at every frame, which pictures do not "
                "tell: go on with held-out clips, or give actions."
            )
        try:
            asked = budget or Budget(**thinking)
        except (TypeError, ValueError) as error:
            raise UserError(f"budget: {error}") from error
        self.predictor.check(asked)
        device = self.run.device
        seeds = row_seeds(seed, _THINKING, range(first, first + len(frames))).tolist()
        return roll_out(
            self.predictor,
            frames.to(device),
            count,
            window=self.window,
            actions=None if actions is None else actions.to(device),
            budget=asked,
            generator=[torch.Generator(device).manual_seed(one) for one in seeds],
        )


def load_video_run(
    folder: str | Path, *, which: Which | int = "best", device: str = "auto"
) -> VideoRun:
    """Load a video run.

    Raises:
        UserError: see :func:`argmind.runs.load_run`.
    """
    unit = Path(folder) / UNIT_FILE
    run = load_run(folder, which=which, device=device)
    return VideoRun(run, read_record(unit) if unit.exists() else None)
