"""The report of robot policies: success against evaluations, ways kept, energy along the way."""

from __future__ import annotations

from collections.abc import Sequence

from argmind.report import plots
from argmind.report.facts import run_facts
from argmind.report.markup import number, span
from argmind.report.page import Bullets, Cell, Heading, Page, Plot, Plots, Prose, Section, Table
from argmind.report.policy_data import PolicyReport, PolicyRow
from argmind.report.policy_words import comparison, limits, percent, ways
from argmind.report.reasoning_data import gain_verdict
from argmind.report.reasoning_words import points
from argmind.report.rollouts import path_plot, strip_plot
from argmind.report.series import Mark, Series, series_plot


def policy_report(report: PolicyReport) -> str:
    """The report as one HTML page.

    Raises:
        UserError: matplotlib is not installed.
        ValueError: nothing was measured.
    """
    if not report.rows:
        raise ValueError("a report on policies needs measured ones")
    sections = [
        Heading("Does it get there, and at what cost?"),
        Prose(comparison(report)),
        Plots([_success_plot(report), _time_plot(report)]),
        _table(report),
        Heading("Two ways round"),
        Prose(ways(report)),
        *_paths(report),
        *report.moving,
        *_strips(report),
        Heading("Training"),
        _training(report),
        Heading("What this does and does not show"),
        Bullets(limits(report)),
    ]
    return Page(
        title=report.title,
        lead=f"An energy model that thinks about its next moves, beside {report.generator} and "
        f"{report.average} of about its size, from the same demonstrations and in about the same "
        f"training time. {report.data}",
        facts=run_facts(
            report.results,
            {one.model: one.parameters for one in report.training},
            report.phases_s,
        ),
        sections=sections,
    ).render()


def _success_plot(report: PolicyReport) -> Plot:
    figure = series_plot(
        _series(report, "nfe"),
        "Success against evaluations",
        "network evaluations per plan",
        "share of episodes",
        scale="log",
        marks=_level(report),
    )
    return Plot(
        svg=plots.svg(figure, "success by evaluations", "nfe"),
        caption=f"The share of the same {report.episodes} episodes that reach the goal, by how "
        "often the network is evaluated for a plan (of an energy model each is a gradient too); "
        "bands are 95 % score intervals over episodes.",
    )


def _time_plot(report: PolicyReport) -> Plot:
    figure = series_plot(
        _series(report, "ms_per_action"),
        "Success against time",
        "ms per action",
        "share of episodes",
        scale="log",
        marks=_level(report),
    )
    return Plot(
        svg=plots.svg(figure, "success by time", "time"),
        caption="The same against the time of planning, one problem at a time, for each action "
        "that is carried out, on this machine.",
    )


def _series(report: PolicyReport, cost: str) -> list[Series]:
    told: list[Series] = []
    for model in (report.thinker, report.generator):
        rows = sorted(report.of(model), key=lambda row: getattr(row, cost))
        told.append(
            Series(
                label=model,
                x=[getattr(row, cost) for row in rows],
                values=[row.success for row in rows],
            )
        )
    return told


def _level(report: PolicyReport) -> list[Mark]:
    return [Mark(label=report.average, at=report.plain.success.value, along="y")]


def _table(report: PolicyReport) -> Table:
    rows = [row for model in _models(report) for row in report.of(model)]
    reference = f"{report.generator}, {report.compared[1]}"
    return Table(
        header=(
            "policy",
            "asked for",
            "success / %",
            "NFE",
            "ms / action",
            "left / right / failed",
            "against the reference",
        ),
        rows=[_cells(row) for row in rows],
        caption="Success in the same episodes; small figures are 95 % score intervals over them. "
        "NFE counts network evaluations per plan. Routes are those of successes. The "
        f"last column is the paired difference in points from {reference}; "
        f"{report.thinker} with {report.compared[0]} is set off.",
        labels=2,
        marked=frozenset({rows.index(report.mine)}),
    )


def _models(report: PolicyReport) -> tuple[str, str, str]:
    return report.thinker, report.generator, report.average


def _cells(row: PolicyRow) -> list[Cell | str]:
    against: Cell | str = "–"
    if row.difference is not None:
        against = Cell(gain_verdict(row.difference), points(row.difference))
    return [
        row.model,
        row.way,
        Cell(percent(row.success.value), span(row.success.map(lambda share: 100 * share), 1)),
        number(row.nfe, 0),
        number(row.ms_per_action, 2),
        f"{row.count('left')} / {row.count('right')} / {int((~row.succeeded).sum())}",
        against,
    ]


def _paths(report: PolicyReport) -> list[Section]:
    if report.plane is None or not report.paths:
        return []
    figure = path_plot(report.plane, report.paths)
    told = "; ".join(group.model for group in report.paths)
    return [
        Plots(
            [
                Plot(
                    svg=plots.svg(figure, "paths of all policies", "paths"),
                    caption=f"Every path of {told}, as seen from the bar (grey), which lies "
                    "elsewhere in each episode; green: where the goals are.",
                )
            ]
        )
    ]


def _strips(report: PolicyReport) -> list[Section]:
    if not report.strips:
        return []
    items = [
        Plot(
            svg=plots.svg(strip_plot(strip), f"{strip.model}: {strip.how}", f"strip-{index}"),
            caption=f"{strip.model}, {strip.how}. Above: pictures along the episode; below: the "
            "energy of each plan where thinking starts and where it ends.",
        )
        for index, strip in enumerate(report.strips)
    ]
    return [Heading("An episode and its energy"), *items]


def _training(report: PolicyReport) -> Table:
    rows: Sequence[Sequence[str]] = [
        (
            one.model,
            f"{one.parameters:,}",
            number(one.seconds, 1),
            f"{one.steps:,}",
            f"{one.samples:,}",
        )
        for one in report.training
    ]
    return Table(
        header=("policy", "parameters", "seconds", "optimiser steps", "chunks of actions"),
        rows=rows,
        caption="All learn from the same demonstrations, in batches of one size, for about equally "
        "long; who needs less for a step takes more of them.",
    )
