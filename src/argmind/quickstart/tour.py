"""The way of every quickstart: plan the minutes, train all models, study them, write it down."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argmind.api import run_recipe
from argmind.assembly import build_objective, build_predictor
from argmind.data.base import optional_module
from argmind.errors import UserError
from argmind.eval.curves import seconds_at
from argmind.eval.results import (
    Figure,
    Results,
    git_commit,
    machine_description,
    write_atomically,
    write_results,
)
from argmind.quickstart.base import Contender, Domain, Entrant, Study, Trained
from argmind.quickstart.folder import claimed
from argmind.quickstart.pace import Clock, Pace, Trial, fastest_threads, threads_restored
from argmind.quickstart.parameters import count_parameters, matched
from argmind.quickstart.screen import Screen
from argmind.recipes.base import Recipe

LEAST_MINUTES = 0.5
#: Share of the whole time spent on finding out how fast each model trains.
_PACE_SHARE = 0.01
_LEAST_STEPS = 8
_EVALUATIONS = 10
_LOG_LINES = 40
#: A training may take this many times as long as planned, and as many seconds, until it is cut off.
_PATIENCE, _PATIENCE_S = 1.25, 2.0


def tour(
    domain: Domain, *, minutes: float, out: Path | None, seed: int, silent: bool = False
) -> dict[str, Any]:
    """Take the quickstart of a domain; returns its results and where everything lies.

    Raises:
        UserError: too few minutes, a folder in use, or a package that is missing.
    """
    clock, screen = Clock(minutes), Screen(silent)
    if not minutes >= LEAST_MINUTES:
        raise UserError(f"--minutes {minutes:g} is too short: give at least {LEAST_MINUTES:g}.")
    optional_module("matplotlib", "the quickstart's report", "report")
    domain.require()
    command = _command(domain, minutes, out, seed)
    with claimed(out) as folder, threads_restored():
        course = _Course(domain, clock, screen, folder, seed, command)
        try:
            return course.finish(course.train())
        except _Stopped as stopped:
            return course.interrupted(stopped)


class _Stopped(Exception):
    """The user pressed Ctrl-C; ``commands`` go on from there."""

    def __init__(self, where: str, commands: list[str]) -> None:
        super().__init__(where)
        self.where, self.commands = where, commands


class _Course:
    """One quickstart on its way."""

    def __init__(
        self, domain: Domain, clock: Clock, screen: Screen, folder: Path, seed: int, command: str
    ) -> None:
        self.domain, self.clock, self.screen = domain, clock, screen
        self.folder, self.seed, self.command = folder, seed, command

    # -------------------------------------------------------------- train

    def train(self) -> Trained:
        """Train all models."""
        domain, screen = self.domain, self.screen
        with self.clock.phase("prepare"):
            recipes = [self._seeded(recipe) for recipe in domain.recipes()]
            data = recipes[0].data.build(seed=self.seed)
            recipes = self._matched(recipes, data)
            screen.say(domain.describe(data))
            screen.say("Finding out how fast this machine trains.")
            recipes = self._planned(recipes, data)
        thinker = self._fit(domain.entrants[0], recipes[0], data)
        rivals = tuple(
            self._fit(entrant, self._beside(thinker, recipe, data), data)
            for entrant, recipe in zip(domain.entrants[1:], recipes[1:], strict=True)
        )
        return Trained(data=data, thinker=thinker, rivals=rivals, seed=self.seed)

    def _seeded(self, recipe: Recipe) -> Recipe:
        return _with_training(recipe, seed=self.seed, eval_limit=32, checkpoint_every=0, keep=1)

    def _matched(self, recipes: Sequence[Recipe], data: Any) -> list[Recipe]:
        """The recipes, the rivals' widened to the thinker's number of parameters."""
        inputs = data.model_inputs
        parameters = count_parameters(recipes[0], inputs)
        rivals = zip(self.domain.entrants[1:], recipes[1:], strict=True)
        wide = [matched(recipe, entrant.width, parameters, inputs) for entrant, recipe in rivals]
        return [recipes[0], *wide]

    def _planned(self, recipes: Sequence[Recipe], data: Any) -> list[Recipe]:
        """The recipes with as many steps as the time allows, the same number for all.

        Where time is what is equal, rivals get theirs once the thinker's is known.
        """
        clock, domain = self.clock, self.domain
        trials = [Trial(recipe, data) for recipe in recipes]
        # By a rival's steps, which are the shorter ones: a bad number costs less time to see.
        threads = fastest_threads(trials[-1].step)
        self.screen.say(f"CPU threads: {threads}.")
        most = domain.most_epochs * data.samples_per_epoch // recipes[0].training.batch_size
        if domain.equal == "time":
            pace = trials[0].pace(_PACE_SHARE * clock.total_s)
            steps = steps_within(clock.training_s / len(recipes), [pace], most)
            return [_paced(recipes[0], steps, pace), *recipes[1:]]
        paces = [trial.pace(_PACE_SHARE * clock.total_s) for trial in trials]
        steps = steps_within(clock.training_s, paces, most)
        return [
            _paced(recipe, steps, pace) if index == 0 else _with_training(recipe, **_cadence(steps))
            for index, (recipe, pace) in enumerate(zip(recipes, paces, strict=True))
        ]

    def _beside(self, thinker: Contender, recipe: Recipe, data: Any) -> Recipe:
        """A rival's recipe on equal terms with the thinker as it was trained."""
        if self.domain.equal == "data":
            # What the first one did not get to see, the others do not see either.
            return _with_training(recipe, steps=thinker.outcome.steps)
        # Both are timed now, side by side: other programs may have come or gone since the first.
        for_s = _PACE_SHARE * self.clock.total_s
        own, pace = (Trial(one, data).pace(for_s) for one in (thinker.recipe, recipe))
        steps = max(_LEAST_STEPS, round(thinker.outcome.steps * own.step_s / pace.step_s))
        return _paced(recipe, steps, pace)

    def _fit(self, entrant: Entrant, recipe: Recipe, data: Any) -> Contender:
        training, label, folder = recipe.training, entrant.label, self.folder / entrant.folder
        warm_up = max(1, training.steps // 10)
        recipe = replace(recipe, optimizer=replace(recipe.optimizer, warmup_steps=warm_up))
        parameters = count_parameters(recipe, data.model_inputs)
        self.screen.say(
            f"\ntraining {label}: {parameters:,} parameters, {training.steps:,} steps of "
            f"{training.batch_size} samples",
            style="bold",
        )
        progress = self.screen.training(self.domain.unit)
        with self.clock.phase(f"train {label}"):
            outcome = run_recipe(
                recipe, folder, data=data, on_progress=progress, command=self.command
            )
        if outcome.reason == "interrupted":
            raise _Stopped(f"training {label}", [outcome.resume_command])
        return Contender(
            label=label,
            recipe=recipe,
            folder=folder,
            parameters=parameters,
            outcome=outcome,
            training_s=float(seconds_at(folder, np.array([outcome.steps]))[0]),
            training_flops=outcome.steps * _flops_per_step(recipe, data),
        )

    # -------------------------------------------------------------- study

    def finish(self, trained: Trained) -> dict[str, Any]:
        """Study the models, write results and report, and say what came out."""
        try:
            with self.clock.phase("think and measure"):
                study = self.domain.study(trained, self.clock, self.screen)
            results = self._results(trained, study)
            report = self.folder / "report.html"
            write_atomically(report, study.page(results))
            write_results(self.folder / "results.json", results)
        except KeyboardInterrupt:
            folders = [one.folder for one in trained.contenders if self.domain.evaluated]
            commands = [f"argmind eval {shlex.quote(str(folder))}" for folder in folders]
            raise _Stopped("measuring (all models are trained and saved)", commands) from None
        self.screen.show(*study.shown(results), "", *self._farewell(study, report))
        return {
            "run": str(self.folder),
            "rivals": [str(rival.folder) for rival in trained.rivals],
            "report": str(report),
            "next_commands": list(study.next_commands),
            **results.to_plain(),
        }

    def _results(self, trained: Trained, study: Study) -> Results:
        figures = {**study.figures, **_common_figures(self.domain, trained)}
        figures["total_s"] = Figure(value=round(self.clock.elapsed_s, 1), unit="s")
        phases = {name: round(seconds, 2) for name, seconds in self.clock.phases_s.items()}
        return Results(
            command=self.command,
            commit=git_commit(),
            machine=machine_description(),
            seeds=(self.seed,),
            figures=figures,
            extra={"phases_s": phases, "threads": torch.get_num_threads(), **study.extra},
        )

    def _farewell(self, study: Study, report: Path) -> list[str]:
        return [
            f"Done in {self.clock.elapsed_s / 60:.1f} minutes. Report: {report}",
            "Next:",
            *(f"  {command}" for command in study.next_commands),
        ]

    def interrupted(self, stopped: _Stopped) -> dict[str, Any]:
        """Say where it was stopped and how to go on."""
        lines = "".join(f"  {command}\n" for command in stopped.commands)
        on = f"; go on with\n{lines}or take" if lines else ".\nTake"
        self.screen.show(
            f"Stopped while {stopped.where}. What is done lies in {self.folder}{on} the whole "
            f"tour again: {self.command}"
        )
        return {
            "run": str(self.folder),
            "interrupted": stopped.where,
            "next_commands": stopped.commands,
        }


def steps_within(training_s: float, paces: list[Pace], most: int) -> int:
    """Steps that all models can take, one after the other, in this time: 8 at least."""
    evaluations_s = _EVALUATIONS * sum(pace.evaluation_s for pace in paces)
    steps = int((training_s - evaluations_s) / sum(pace.step_s for pace in paces))
    return max(_LEAST_STEPS, min(steps, most))


def _cadence(steps: int) -> dict[str, int]:
    return {
        "steps": steps,
        "eval_every": math.ceil(steps / _EVALUATIONS),
        "log_every": math.ceil(steps / _LOG_LINES),
    }


def _paced(recipe: Recipe, steps: int, pace: Pace) -> Recipe:
    """So many steps, cut off where they take much longer than expected."""
    limit_s = _PATIENCE * pace.seconds(steps, _EVALUATIONS) + _PATIENCE_S
    return _with_training(recipe, **_cadence(steps), stop_after_minutes=limit_s / 60)


def _with_training(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, training=replace(recipe.training, **changes))


def _flops_per_step(recipe: Recipe, data: Any) -> float:
    predictor = build_predictor(recipe, data.model_inputs)
    batch = data.batch(0, recipe.training.batch_size)
    return build_objective(recipe, predictor).training_flops(batch)


def _common_figures(domain: Domain, trained: Trained) -> dict[str, Figure]:
    figures = {"training_steps": Figure(value=trained.thinker.outcome.steps, unit="1")}
    for entrant, model in zip(domain.entrants, trained.contenders, strict=True):
        key = entrant.key
        figures[f"{key}_parameters"] = Figure(value=model.parameters, unit="1")
        figures[f"{key}_training_s"] = Figure(value=round(model.training_s, 2), unit="s")
        figures[f"{key}_training_flops"] = Figure(value=model.training_flops, unit="FLOP")
    return figures


def _command(domain: Domain, minutes: float, out: Path | None, seed: int) -> str:
    words = ["argmind", "quickstart", "--domain", domain.name, "--minutes", f"{minutes:g}"]
    words += ["--out", str(out)] if out is not None else []
    return shlex.join([*words, "--seed", str(seed)])
