"""The loop of a run: when to log, evaluate, save and stop."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Literal

import torch

import argmind
from argmind.errors import UserError
from argmind.train.checkpoint import Checkpoint, Draft
from argmind.train.engine import Engine, runtime_file
from argmind.train.interrupts import Interrupts
from argmind.train.metrics import JsonLines, TensorBoard, finite, lines_until
from argmind.train.optimizer import lr_at
from argmind.train.progress import Progress
from argmind.train.runfolder import RunFolder
from argmind.train.throughput import Stopwatch

Reason = Literal["finished", "interrupted", "deadline"]
_REASONS: tuple[Reason, ...] = ("finished", "deadline", "interrupted")


class Logs:
    """The files the main process writes lines to; elsewhere nothing is written."""

    def __init__(self, run: RunFolder, step: int, metrics_bytes: int, tensorboard: bool) -> None:
        timing_bytes, last = lines_until(run.path / "timing.jsonl", step)
        self.elapsed_s = float(last.get("elapsed_s", 0.0))
        self.metrics = JsonLines(run.path / "metrics.jsonl", metrics_bytes)
        self.timing = JsonLines(run.path / "timing.jsonl", timing_bytes)
        self._board = TensorBoard(run.path / "tensorboard", step) if tensorboard else None

    def write(self, step: int, split: str, values: Mapping[str, float | int | None]) -> None:
        """One line of ``metrics.jsonl``, and TensorBoard scalars."""
        self.metrics.write({"step": step, "split": split, **values})
        if self._board is not None:
            self._board.write(step, split, values)

    def close(self) -> None:
        """Close all files."""
        self.metrics.close()
        self.timing.close()
        if self._board is not None:
            self._board.close()


class Session:
    """A run from one start to the next stop."""

    def __init__(
        self, engine: Engine, run: RunFolder, interrupts: Interrupts, progress: Progress
    ) -> None:
        self.engine = engine
        self.training = engine.training
        self.world = engine.world
        self.run = run
        self.interrupts = interrupts
        self.progress = progress
        self.step = 0
        self.best: dict[str, Any] | None = None
        self._totals = {"predictions": 0, "skipped": 0}
        self._metrics_bytes = 0
        self._started_s = time.monotonic()
        self._logs: Logs | None = None
        self._stopwatch = Stopwatch(
            engine.step_flops, self.world.device, engine.precision, self.world.size
        )

    # -------------------------------------------------------------- start

    def resume(self) -> None:
        """Go back to the newest good checkpoint.

        Raises:
            UserError: there is none, it does not fit the model, or the data is not that of the run.
        """
        store = self.run.store
        found = self.world.together(lambda: store.latest() if self.world.is_main else None)
        step = self.world.from_main(found.step if found else 0)
        checkpoint = found or store.load(step)
        self._check_data(checkpoint)
        notes = self.engine.load(checkpoint)
        state = checkpoint.state
        self.step, self.best, self._totals = step, state["best"], dict(state["totals"])
        self._metrics_bytes = state["metrics_bytes"]
        if self.world.is_main:
            store.set_aside_after(step)
            if self.best is not None:
                self.run.write_json("best.json", self.best)
        for note in (*checkpoint.notes, *notes):
            self.progress.note(note)

    def _check_data(self, checkpoint: Checkpoint) -> None:
        saved, given = checkpoint.state["data_fingerprint"], self.engine.data.fingerprint
        if saved != given:
            raise UserError(
                f"the data is not that of the run (fingerprint {given}, the run has {saved}). "
                "Resume with the same files and tokenizer, or start a new run."
            )

    # -------------------------------------------------------------- the loop

    def train(self) -> Reason:
        """Train until the last step, a signal or the deadline; the last step done is saved.

        Raises:
            UserError: too many bad steps in a row, or a disk that cannot be written.
        """
        with ExitStack() as stack:
            if self.world.is_main:
                self._logs = Logs(
                    self.run, self.step, self._metrics_bytes, self.training.tensorboard
                )
                stack.callback(self._logs.close)
            self._stopwatch.start(self._logs.elapsed_s if self._logs else 0.0)
            self.progress.start(self.step, self.training.steps)
            return self._loop()

    def _loop(self) -> Reason:
        training = self.training
        while self.step < training.steps:
            self.engine.step(self.step)
            self.step += 1
            self.progress.advance(self.step)
            last = self.step == training.steps
            if last or self._due(training.log_every):
                self._log()
            improved = (last or self._due(training.eval_every)) and self._evaluate()
            stop = self._stop_reason()
            if last or improved or stop != "finished" or self._due(training.checkpoint_every):
                with self._stopwatch.paused():
                    self._save()
            if stop != "finished" and not last:
                return stop
        return "finished"

    def _due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _stop_reason(self) -> Reason:
        minutes = self.training.stop_after_minutes
        late = minutes is not None and time.monotonic() - self._started_s > 60 * minutes
        mine = "interrupted" if self.interrupts.requested else "deadline" if late else "finished"
        return _REASONS[self.world.largest(_REASONS.index(mine))]

    # -------------------------------------------------------------- log, evaluate

    def _log(self) -> None:
        sums = self.engine.window.read()
        self.engine.window.clear()
        predictions, skipped, good = (
            int(sums.pop(name)) for name in ("predictions", "skipped", "good")
        )
        self._totals["predictions"] += predictions
        self._totals["skipped"] += skipped
        grad_norm = sums.pop("grad_norm")
        means = {name: value / predictions for name, value in sums.items() if predictions}
        values = finite(
            {
                "loss": means.pop("loss", None),
                "grad_norm": grad_norm / good if good else None,
                "lr": lr_at(self.step - 1, self.training.steps, self.engine.settings),
                **self._totals,
                **means,
            }
        )
        timing = self._stopwatch.lap(predictions, steps=good + skipped)
        if self._logs is not None:
            self._logs.write(self.step, "train", values)
            self._logs.timing.write({"step": self.step, **timing})
        self.progress.log(self.step, {**values, **timing})
        self._check_bad_steps()

    def _check_bad_steps(self) -> None:
        in_row = int(self.engine.bad_in_row)
        if in_row < self.training.max_bad_steps:
            return
        advice = self.run.store.advice() or "There is no checkpoint yet."
        raise UserError(
            f"the loss or gradient was not finite in the last {in_row} steps (up to step "
            f"{self.step}); none of them touched the weights. Lower optimizer.lr, the thinking "
            f"step size or clip_norm, or try precision fp32. {advice}"
        )

    def _evaluate(self) -> bool:
        """Whether this is the best so far."""
        with self._stopwatch.paused():
            values = finite(self.engine.evaluate())
        metric, value = next(iter(values.items()))
        improved = value is not None and (self.best is None or value < self.best["value"])
        if improved:
            self.best = {"step": self.step, "metric": metric, "value": value}
        if self._logs is not None:
            self._logs.write(self.step, "evaluation", values)
        self.progress.evaluated(self.step, values, improved)
        return improved

    # -------------------------------------------------------------- save

    def _save(self) -> None:
        world, store = self.world, self.run.store
        state = self._state()
        with store.draft(self.step, world.from_main(os.getpid())) as draft:
            world.together(lambda: self._write_tensors(draft))
            world.together(lambda: draft.commit(state) if world.is_main else None)
        if world.is_main:
            if self.best is not None:
                self.run.write_json("best.json", self.best)
            best = [] if self.best is None else [self.best["step"]]
            store.keep_only(self.training.keep, best)

    def _write_tensors(self, draft: Draft) -> None:
        runtime = self.engine.objective.runtime_state()
        if runtime:
            draft.write(runtime_file(self.world.rank), runtime)
        if self.world.is_main:
            for name, tensors in self.engine.tensors().items():
                draft.write(name, tensors)

    def _state(self) -> dict[str, Any]:
        if self._logs is not None:
            self._logs.metrics.sync()
            self._metrics_bytes = self._logs.metrics.size_bytes()
        return {
            "step": self.step,
            "world": self.world.size,
            "data_fingerprint": self.engine.data.fingerprint,
            "best": self.best,
            "totals": self._totals,
            "metrics_bytes": self._metrics_bytes,
            "argmind": argmind.__version__,
            "torch": str(torch.__version__),
            **self.engine.state(),
        }
