"""The few calls most users need: ``argmind.fit`` and ``argmind.load``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from argmind.assembly import build_objective, build_predictor, run_description
from argmind.data.base import Progress as DataProgress
from argmind.image.run import load_image_run
from argmind.policy.policy import load_policy
from argmind.reasoning.run import load_reasoning_run
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.runs import Which, load_run, read_recipe
from argmind.text.run import load_text_run
from argmind.train.distributed import join_world
from argmind.train.metrics import require_tensorboard
from argmind.train.progress import Progress, progress_for
from argmind.train.runfolder import RunFolder
from argmind.train.trainer import Trainer, TrainOutcome
from argmind.video.run import load_video_run

#: How a run is opened, by the kind of data that it was trained on.
_LOADERS: dict[str, Callable[..., Any]] = {
    "text": load_text_run,
    "images": load_image_run,
    "reasoning": load_reasoning_run,
    "demonstrations": load_policy,
    "clips": load_video_run,
}


def load(run: str | Path, *, which: Which | int = "best", device: str = "auto") -> Any:
    """Load a trained run for use.

    Returns:
        :class:`argmind.text.run.TextRun`, :class:`argmind.image.run.ImageRun`,
        :class:`argmind.video.run.VideoRun`, :class:`argmind.reasoning.run.ReasoningRun` or
        :class:`argmind.policy.policy.Policy`; of data of other kinds
        :class:`argmind.runs.LoadedRun`.

    Raises:
        UserError: no such run, nothing intact in it, or no such device.
    """
    recipe, _ = read_recipe(run)
    return _LOADERS.get(recipe.data.part_name, load_run)(run, which=which, device=device)


def fit(
    texts: Iterable[str] | str | Path,
    *,
    out: str | Path,
    recipe: str = "text_ebt",
    size: str | None = None,
    settings: Sequence[str] = (),
    silent: bool = False,
) -> TrainOutcome:
    """Train a recipe on strings, or on what a path names; the run is written to ``out``.

    ``settings`` are the command line's ``--set``: ``["thinking.steps=3", "training.steps=200"]``.

    Raises:
        UserError: an unknown recipe, size or option, or data that cannot be used.
    """
    given = None if isinstance(texts, (str, Path)) else texts
    source = "(strings)" if given is not None else str(texts)
    chosen = customised(find_recipe(recipe), size, [*settings, f"data.source={_quoted(source)}"])
    return run_recipe(chosen, out, texts=given, on_progress=progress_for(silent))


def run_recipe(
    recipe: Recipe,
    out: str | Path,
    *,
    resume: bool = False,
    texts: Iterable[str] | None = None,
    data: Any = None,
    on_progress: Progress | None = None,
    data_progress: DataProgress | None = None,
    command: str | None = None,
) -> TrainOutcome:
    """Train (or go on training) a recipe in the folder ``out``.

    Everything that can be refused is refused before training begins: options when the recipe is
    read, folder and device before the data is, data when it is opened.

    Args:
        texts: documents from Python, for a recipe on text.
        data: what to train on, in place of what the recipe names; of images from Python, say,
            ``recipe.data.build(seed=0, given=arrays, labels=labels)``.
    """
    require_ready(recipe, out, resume)
    if data is None:
        given = {} if texts is None else {"texts": texts}
        data = recipe.data.build(seed=recipe.training.seed, progress=data_progress, **given)
    inputs = data.model_inputs
    predictor = build_predictor(recipe, inputs)
    trainer = Trainer(
        build_objective(recipe, predictor),
        data,
        recipe.training,
        recipe.optimizer,
        out,
        run_description(recipe, inputs, command or shlex.join(sys.argv)),
        on_progress=on_progress,
    )
    return trainer.fit(resume=resume)


def require_ready(recipe: Recipe, out: str | Path, resume: bool = False) -> None:
    """Refuse what can be refused before data is read.

    Raises:
        UserError: no such device or package, a folder that holds a run, nothing to resume.
    """
    world = join_world(recipe.training.device)
    if recipe.training.tensorboard:
        require_tensorboard()
    folder = RunFolder(Path(out))
    check = folder.require_resumable if resume else folder.require_fresh
    world.together(lambda: check() if world.is_main else None)


def resume(
    run: str | Path,
    *,
    settings: Sequence[str] = (),
    texts: Iterable[str] | None = None,
    on_progress: Progress | None = None,
    data_progress: DataProgress | None = None,
) -> TrainOutcome:
    """Continue a run from its newest good checkpoint, by the recipe in its folder.

    ``settings`` may lengthen the run (``training.steps=…``) or move it to another device.

    Raises:
        UserError: no such run, nothing to continue, or data that has changed.
    """
    recipe, _ = read_recipe(run)
    recipe = customised(recipe, None, list(settings))
    return run_recipe(
        recipe,
        run,
        resume=True,
        texts=texts,
        on_progress=on_progress,
        data_progress=data_progress,
    )


def _quoted(path: str) -> str:
    """A path as a YAML string."""
    return "'" + path.replace("'", "''") + "'"
