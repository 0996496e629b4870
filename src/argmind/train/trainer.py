"""Train an objective in a run folder: start, resume, stop, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argmind.data.base import TrainingData
from argmind.objectives.base import Objective
from argmind.train.checkpoint import folder_name
from argmind.train.config import OptimizerConfig, TrainingConfig
from argmind.train.distributed import join_world
from argmind.train.engine import Engine, matrix_products
from argmind.train.files import explained
from argmind.train.interrupts import Interrupts
from argmind.train.metrics import require_tensorboard
from argmind.train.progress import Progress
from argmind.train.runfolder import RunFolder
from argmind.train.session import Reason, Session


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """How a run ended; all but "finished" can be resumed."""

    reason: Reason
    steps: int
    #: ``{"step", "metric", "value"}`` of the best evaluation, None without one.
    best: dict[str, Any] | None
    run_dir: Path
    #: Folder of the checkpoint of the last step done.
    checkpoint: Path

    @property
    def resume_command(self) -> str:
        """What to type to continue."""
        return f"argmind train --resume {self.run_dir}"

    def summary(self) -> str:
        """One or two lines for the user."""
        if self.reason == "finished":
            best = ""
            if self.best:
                best = f", best held-out {self.best['value']:.4f} {self.best['metric']}"
            return f"finished {self.steps} steps{best}: {self.run_dir}"
        why = "stopped by a signal" if self.reason == "interrupted" else "time is up"
        return f"{why} after step {self.steps}, saved. Continue with:\n  {self.resume_command}"


class Trainer:
    """Trains ``objective`` on ``data``; the run lives in ``run_dir``.

    Under torchrun all processes make the same Trainer, and the first of them writes the files.
    ``recipe`` is kept as ``recipe.json``; the trainer itself does not read it.
    """

    def __init__(
        self,
        objective: Objective,
        data: TrainingData,
        training: TrainingConfig,
        optimizer: OptimizerConfig,
        run_dir: str | Path,
        recipe: Mapping[str, Any],
        on_progress: Progress | None = None,
    ) -> None:
        self.objective = objective
        self.data = data
        self.training = training
        self.optimizer = optimizer
        self.recipe = recipe
        self._run = RunFolder(Path(run_dir))
        self._progress = on_progress or Progress()
        self._interrupts = Interrupts()

    def stop(self) -> None:
        """Ask the run to save and stop at the end of the current step."""
        self._interrupts.request()

    def fit(self, resume: bool = False) -> TrainOutcome:
        """Train to the last step, or until a signal or the deadline.

        Raises:
            UserError: the folder is in use or holds a run, there is nothing to resume, device or
                package is missing, the disk cannot be written, or too many steps went bad.
        """
        if self.training.tensorboard:
            require_tensorboard()
        world = join_world(self.training.device)
        with self._interrupts, ExitStack() as stack:
            engine = Engine(self.objective, self.data, self.training, self.optimizer, world)
            stack.enter_context(matrix_products(engine.precision))
            progress = self._progress if world.is_main else Progress()
            stack.callback(progress.close)
            world.together(lambda: self._own_folder(stack, resume) if world.is_main else None)
            session = Session(engine, self._run, self._interrupts, progress)
            if resume:
                session.resume()
            engine.prepare(progress.note, session.step)
            world.together(lambda: self._describe() if world.is_main else None)
            return self._train(session)

    def _own_folder(self, stack: ExitStack, resume: bool) -> None:
        if resume:
            self._run.require_resumable()
        stack.enter_context(self._run.locked())
        if not resume:
            self._run.require_fresh()
        self._run.clean()

    def _describe(self) -> None:
        # After resuming: settings that do not fit the checkpoint must leave the run as it was.
        self._run.write_json("recipe.json", self.recipe)
        with explained(f"run folder {self._run.path}"):
            self.data.save_assets(self._run.path)

    def _train(self, session: Session) -> TrainOutcome:
        reason = session.train()
        outcome = TrainOutcome(
            reason=reason,
            steps=session.step,
            best=session.best,
            run_dir=self._run.path,
            checkpoint=self._run.store.folder / folder_name(session.step),
        )
        session.progress.finish(outcome)
        return outcome
