"""The report of next-frame models: what thinking bought, and whether energy knows chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from argmind.eval.statistics import Interval, verdict
from argmind.report import plots
from argmind.report.doubt import doubt_plot
from argmind.report.facts import run_facts
from argmind.report.heat import heat_map
from argmind.report.markup import number, span
from argmind.report.page import Bullets, Cell, Heading, Page, Plot, Plots, Prose, Section, Table
from argmind.report.series import Mark, Series, series_plot
from argmind.report.video_data import Doubt, VideoReport, VideoRow
from argmind.report.video_limits import DIGITS, comparison, limits, rolled, uncertain

_FRAME = "frame that is predicted from, counted from the turn"
#: Frames shown before the turn and after it.
_BEFORE, _AFTER = 3, 6


def video_report(report: VideoReport) -> str:
    """The report as one HTML page.

    Raises:
        UserError: matplotlib is not installed.
    """
    sections = [
        Heading("What comes next"),
        Prose(comparison(report)),
        _table(report),
        Heading("Rolled out"),
        Prose(rolled(report)),
        Plots([_horizon_plot(report.horizons)]),
        *report.moving,
        Heading("Does it know what it cannot know?"),
        Prose(uncertain(report)),
        Plots(_doubt_plots(report.doubt, report.thinker)),
        Plots([doubt_plot(item, f"doubt-{index}") for index, item in enumerate(report.scores)]),
        *_learning(report),
        Heading("What this does and does not show"),
        Bullets(limits(report)),
    ]
    return Page(
        title=report.title,
        lead="An energy-based transformer that starts from a guess of the next frame and improves "
        f"on it, beside {report.rival} of about its size. {report.data}",
        facts=run_facts(report.results, report.parameters, report.phases_s),
        sections=sections,
    ).render()


def _table(report: VideoReport) -> Table:
    rows = [report.still, report.plain, *report.rows]
    return Table(
        header=(
            "model",
            "steps",
            "mean squared error",
            "NFE",
            "ms / frame",
            f"against {report.rival}",
        ),
        rows=[_cells(row) for row in rows],
        caption="Error of the next frame, all frames before it given; lower is better. Small "
        "figures are 95 % bootstrap intervals over held-out clips; the last column is the paired "
        f"difference, and what its interval says. {report.thinker} as trained is set off.",
        labels=2,
        marked=frozenset({rows.index(report.trained)}),
    )


def _cells(row: VideoRow) -> list[Cell | str]:
    against: Cell | str = "–"
    if row.difference is not None:
        ends = span(row.difference, DIGITS)
        note = number(row.difference.value, DIGITS) + (f" ({ends})" if ends else "")
        against = Cell(verdict(row.difference, 0.0), note)
    return [
        row.model,
        "–" if row.steps is None else str(row.steps),
        Cell(number(row.error.value, DIGITS), span(row.error, DIGITS)),
        number(row.nfe, 0),
        number(row.ms_per_frame, 2),
        against,
    ]


def _horizon_plot(horizons: Mapping[str, Sequence[Interval]]) -> Plot:
    series = [
        Series(label=model, x=range(1, len(by) + 1), values=by) for model, by in horizons.items()
    ]
    figure = series_plot(
        series, "Error of a roll-out", "frames predicted so far", "mean squared error"
    )
    return Plot(
        svg=plots.svg(figure, "Error by horizon", "horizon"),
        caption="Mean squared error per pixel of frames predicted from predictions, by how many "
        "there were; bands are 95 % bootstrap intervals over held-out clips.",
    )


def _doubt_plots(doubt: Doubt, thinker: str) -> list[Plot]:
    turn = Mark(label="the turn", at=0, along="x")
    told = [
        (name, doubt.from_turn(values, _BEFORE, _AFTER))
        for name, values in (("energy", doubt.energies), ("actual loss", doubt.losses))
    ]
    lines = [
        Series(
            label=name,
            x=range(-_BEFORE, _AFTER + 1),
            values=[_mean(column) for column in values.T],
        )
        for name, values in told
    ]
    figure = series_plot(
        lines, "Mean by frame", _FRAME, "energy, smooth L1 per pixel", marks=[turn]
    )
    maps = [
        Plot(
            svg=plots.svg(
                heat_map(
                    values, f"{name} by clip and frame", _FRAME, "clip", first=-_BEFORE, mark=0
                ),
                f"{name} by clip and frame",
                f"heat-{index}",
            ),
            caption=f"The {name} of {thinker}'s predictions: a row for every clip, a column for "
            "every frame that the next one was predicted from, clips shifted so that they turn "
            "together; darker is more. The framed column is where chance decides.",
        )
        for index, (name, values) in enumerate(told)
    ]
    mean = Plot(
        svg=plots.svg(figure, "Energy and loss by frame", "frames"),
        caption="Energy and actual loss by the frame predicted from, means over clips with their "
        "standard errors; the line marks where chance decides, whichever frame that is. Energies "
        "are taught to foretell this loss. The first frame of a clip is left out: it does not "
        "tell a speed.",
    )
    return [mean, *maps]


def _mean(values: np.ndarray) -> Interval:
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return Interval(float(known.mean()) if len(known) else float("nan"))
    mean, error = float(known.mean()), float(known.std(ddof=1) / len(known) ** 0.5)
    return Interval(mean, mean - error, mean + error)


def _learning(report: VideoReport) -> list[Section]:
    if not report.curves:
        return []
    marks = "Faint: training batches; marked: held-out clips."
    measure = "smooth L1 per pixel"
    seen = plots.learning_curves(report.curves, "seen", "frames", measure)
    seconds = plots.learning_curves(report.curves, "seconds", "frames", measure)
    items = [
        Plot(
            svg=plots.svg(seen, "Loss by frames", "seen"),
            caption=f"Loss against the frames trained on (equal data). {marks}",
        ),
        Plot(
            svg=plots.svg(seconds, "Loss by time", "seconds"),
            caption=f"Loss against the seconds trained (equal time). {marks}",
        ),
    ]
    return [Heading("Learning"), Plots(items)]
