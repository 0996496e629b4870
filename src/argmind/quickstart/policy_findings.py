"""The measurements of policies as figures, a table, a page and plain words."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from argmind.eval.results import Figure, Results
from argmind.eval.statistics import Interval, bootstrap_difference, share
from argmind.policy.gauge import Window, failure_auroc
from argmind.policy.rollout import Rollout
from argmind.quickstart.base import Study, Trained
from argmind.quickstart.plain import cut_short, plain_interval
from argmind.quickstart.policy_ways import WAYS, Way
from argmind.report import policy_data
from argmind.report.pictures import PictureTable
from argmind.report.policy import policy_report
from argmind.report.policy_data import Paths, Plane, PolicyReport, PolicyRow, Strip
from argmind.report.policy_words import comparison, limits, ways
from argmind.report.reasoning_words import points

_SHARE = "1"
#: The first plans of an episode, of which all have as many: failures end early.
GAUGED_PLANS = 3


@dataclass(frozen=True, kw_only=True)
class PolicyFindings:
    """Everything that was measured, by the keys of ways; ``labels`` by kinds."""

    trained: Trained
    labels: Mapping[str, str]
    data: str
    demonstrated: Sequence[str]  # routes
    compared: tuple[str, str, str]
    episodes: Mapping[str, Sequence[Rollout]]
    ms_per_action: Mapping[str, float]
    paths: Sequence[Paths]
    plane: Plane
    moving: Sequence[PictureTable]
    strips: Sequence[Strip]

    def study(self, phases_s: Mapping[str, float]) -> Study:
        """As the quickstart wants it."""
        return Study(
            figures=self.figures(),
            extra=self._extra(),
            shown=self.shown,
            page=lambda results: policy_report(self.report(results, phases_s)),
            next_commands=self.next_commands(),
        )

    # -------------------------------------------------------------- rows

    @cached_property
    def rows(self) -> dict[str, PolicyRow]:
        """Every way of asking, by its key."""
        return {way.key: self._row(way) for way in WAYS}

    def _row(self, way: Way) -> PolicyRow:
        episodes = self.episodes[way.key]
        succeeded = self._succeeded(way.key)
        plans = [plan.nfe for one in episodes for plan in one.plans]
        reference = self.compared[1]
        return PolicyRow(
            model=self.labels[way.kind],
            way=way.words,
            nfe=float(np.mean(plans)),
            success=share(succeeded),
            succeeded=succeeded,
            routes=[one.route for one in episodes],
            ms_per_action=self.ms_per_action[way.key],
            difference=None if way.key == reference else self._minus(way.key, reference),
        )

    def _succeeded(self, key: str) -> Any:
        return np.array([one.success for one in self.episodes[key]])

    def _minus(self, first: str, second: str) -> Interval:
        a, b = self._succeeded(first), self._succeeded(second)
        return bootstrap_difference(a, b, np.random.default_rng(self.trained.seed))

    @cached_property
    def gauge(self) -> Interval:
        """Is energy higher where the thinker fails?"""
        window = Window(count=GAUGED_PLANS)
        return failure_auroc(self.episodes[self.compared[0]], window=window, seed=self.trained.seed)

    # -------------------------------------------------------------- figures

    def figures(self) -> dict[str, Figure]:
        """What ``results.json`` holds."""
        found: dict[str, Figure] = {}
        for key, row in self.rows.items():
            found[f"point_success_{key}"] = Figure.of(row.success, _SHARE)
            left = row.left or Interval(math.nan)
            found[f"point_left_share_{key}"] = Figure.of(left, _SHARE, "" if row.left else _NONE)
            found[f"nfe_{key}"] = Figure.of(row.nfe, "evaluations/plan")
            found[f"time_per_action_ms_{key}"] = Figure.of(row.ms_per_action, "ms")
        mine, theirs, _ = self.compared
        gain = self._minus(mine, theirs)
        faster = self.ms_per_action[theirs] / self.ms_per_action[mine]
        found[f"{mine}_minus_{theirs}"] = Figure.of(gain, _SHARE)
        found[f"{mine}_times_faster_than_{theirs}"] = Figure.of(faster, _SHARE)
        alike = "all episodes succeed, or all fail"
        found["energy_failure_auroc"] = Figure.of(self.gauge, _SHARE, alike)
        found["demonstrated_left_share"] = Figure.of(self._demonstrated_left, _SHARE)
        return found

    @property
    def _demonstrated_left(self) -> float:
        return float(np.mean([route == "left" for route in self.demonstrated]))

    def _extra(self) -> dict[str, Any]:
        return {
            "episodes": len(self.episodes[self.compared[0]]),
            "first_seed": self.episodes[self.compared[0]][0].seed,
            "demonstrations": len(self.demonstrated),
            "plans_gauged": GAUGED_PLANS,
            "training_steps_by_model": {
                one.label: one.outcome.steps for one in self.trained.contenders
            },
            "ways": {
                key: {
                    "model": row.model,
                    "asked": row.way,
                    "success": plain_interval(row.success),
                    "left": row.count("left"),
                    "right": row.count("right"),
                    "nfe": row.nfe,
                    "ms_per_action": row.ms_per_action,
                    "difference": plain_interval(row.difference),
                }
                for key, row in self.rows.items()
            },
        }

    # -------------------------------------------------------------- words

    def report(self, results: Results, phases_s: Mapping[str, float]) -> PolicyReport:
        """What the page shows."""
        mine, theirs, _ = (self.rows[key] for key in self.compared)
        batch = self.trained.thinker.recipe.training.batch_size
        return PolicyReport(
            title="argmind quickstart: policy",
            results=results,
            data=self.data,
            episodes=len(mine.succeeded),
            thinker=self.labels["ebt"],
            generator=self.labels["dp"],
            average=self.labels["bc"],
            demonstrated_left=self._demonstrated_left,
            training=[
                policy_data.Trained(
                    model=one.label,
                    parameters=one.parameters,
                    seconds=one.training_s,
                    steps=one.outcome.steps,
                    samples=one.outcome.steps * batch,
                )
                for one in self.trained.contenders
            ],
            phases_s=phases_s,
            rows=list(self.rows.values()),
            compared=(mine.way, theirs.way),
            failure_auroc=self.gauge,
            gauged_plans=GAUGED_PLANS,
            strips=self.strips,
            moving=self.moving,
            paths=self.paths,
            plane=self.plane,
            notes=cut_short(self.trained),
        )

    def next_commands(self) -> tuple[str, str, str]:
        """What to try now."""
        run = shlex.quote(str(self.trained.thinker.folder))
        return (
            f"argmind rollout {run} --episodes 20 --steps 2 --render out.gif",
            "argmind demos pointmaze --episodes 100 --out demos/pointmaze",
            f"argmind quickstart --domain policy --minutes 20 --seed {self.trained.seed + 1}",
        )

    def shown(self, results: Results) -> Sequence[RenderableType]:
        """What is printed."""
        report = self.report(results, {})
        return [
            "",
            printed(report, f"{report.episodes} episodes, 95 % intervals"),
            *(Text(words(report)) for words in (comparison, ways)),
            "",
            *(Text(f"• {sentence}") for sentence in limits(report)),
            "",
        ]


_NONE = "no episode succeeded"


def printed(report: PolicyReport, title: str) -> Table:
    """A line for every way of asking; the one that is compared stands out."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("policy", no_wrap=True)
    heads = ("success / %", "left/right", "NFE", "ms/action", "points from reference")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=head in ("left/right", "NFE", "ms/action"))
    for row in report.rows:
        low, high = (100 * (end or 0.0) for end in row.success[1:])
        table.add_row(
            f"{row.model}, {row.way}",
            f"{100 * row.success.value:.0f} ({low:.0f}…{high:.0f})",
            f"{row.count('left')}/{row.count('right')}",
            f"{row.nfe:.0f}",
            f"{row.ms_per_action:.2f}",
            "–" if row.difference is None else points(row.difference),
            style="bold" if row is report.mine else None,
        )
    return table
