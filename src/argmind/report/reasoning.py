"""The report of solvers: what thinking bought, against a loop and against one pass."""

from __future__ import annotations

from argmind.report import plots
from argmind.report.facts import run_facts
from argmind.report.grids import way_html
from argmind.report.markup import number, span
from argmind.report.page import (
    Bullets,
    Cell,
    Fragment,
    Heading,
    Page,
    Plot,
    Plots,
    Prose,
    Section,
    Table,
)
from argmind.report.reasoning_data import ReasoningReport, SolvedRow, gain_verdict
from argmind.report.reasoning_words import comparison, limits, points
from argmind.report.series import Mark, Series, series_plot


def reasoning_report(report: ReasoningReport) -> str:
    """The report as one HTML page.

    Raises:
        UserError: matplotlib is not installed.
        ValueError: nothing was measured.
    """
    if not report.rows:
        raise ValueError("a report on reasoning needs measured budgets")
    sections = [
        Heading("What thinking bought"),
        *(Prose(comparison(report, split)) for split in report.splits),
        Plots([_steps_plot(report, split) for split in report.splits]),
        *_boards(report),
        *(_table(report, split) for split in report.splits),
        *_difficulty(report),
        *_learning(report),
        Heading("What this does and does not show"),
        Bullets(limits(report)),
    ]
    return Page(
        title=report.title,
        lead="An energy-based transformer that descends to a solution, beside "
        f"{' and '.join(report.rivals)} of about its size, trained for about as long. "
        f"{report.data}",
        facts=run_facts(report.results, report.parameters, report.phases_s),
        sections=sections,
    ).render()


def _steps_plot(report: ReasoningReport, split: str) -> Plot:
    series: list[Series] = []
    marks = [Mark(label="as trained", at=report.trained_steps, along="x")]
    for model in (report.thinker, *report.rivals):
        rows = report.of(split, model)
        steps = [row.steps for row in rows if row.steps is not None]
        if len(steps) == len(rows):
            series.append(Series(label=model, x=steps, values=[row.solved for row in rows]))
        else:
            marks.append(Mark(label=model, at=rows[0].solved.value, along="y"))
    figure = series_plot(
        series,
        f"Solved, {split} puzzles",
        "thinking steps, or loops",
        "share of boards solved",
        scale="log",
        marks=marks,
    )
    return Plot(
        svg=plots.svg(figure, f"share of {split} puzzles solved by steps", f"steps-{split}"),
        caption=f"The share of held-out {split} puzzles that are solved, by the rules, against "
        "thinking steps. Bands are 95 % bootstrap intervals over puzzles.",
    )


def _boards(report: ReasoningReport) -> list[Section]:
    if not report.ways:
        return []
    hardest = report.splits[-1]
    return [
        Heading("A board filling in"),
        Fragment(
            html="".join(way_html(way) for way in report.ways),
            caption=f"One {hardest} held-out puzzle, {report.ways[0].how}, after so many steps. "
            "Bold: given; blue: right; orange and struck through: wrong; the fainter, the less "
            "sure. E is the energy, of models without one the entropy.",
        ),
    ]


def _table(report: ReasoningReport, split: str) -> Table:
    rows = [row for row in report.rows if row.split == split]
    trained = report.at(split, report.thinker, report.trained_steps)
    header = ("model", "budget", "solved / %", "NFE", "ms / puzzle", "against as trained")
    return Table(
        header=header,
        rows=[_cells(row) for row in rows],
        caption=f"Every budget on the {split} puzzles; small figures are 95 % bootstrap intervals "
        f"over puzzles. {report.thinker} as trained is set off; the last column is the paired "
        "difference from it in points, with what its interval says.",
        labels=2,
        marked=frozenset({rows.index(trained)}),
    )


def _cells(row: SolvedRow) -> list[Cell | str]:
    against: Cell | str = "–"
    if row.difference is not None:
        against = Cell(gain_verdict(row.difference), points(row.difference))
    return [
        row.model,
        row.budget,
        Cell(number(100 * row.solved.value, 1), span(row.solved.map(lambda x: 100 * x), 1)),
        number(row.nfe, 0),
        number(row.ms_per_problem, 2),
        against,
    ]


def _difficulty(report: ReasoningReport) -> list[Section]:
    by_rounds = report.stopping.steps_by_rounds
    figure = series_plot(
        [
            Series(
                label=report.thinker,
                x=[count for count, _ in by_rounds],
                values=[steps for _, steps in by_rounds],
            )
        ],
        "Steps used by difficulty",
        "rounds of a solver",
        "mean steps until the energy has settled",
    )
    return [
        Heading("Does it know when it is done?"),
        Plots(
            [
                Plot(
                    svg=plots.svg(figure, "steps used by rounds of a solver", "difficulty"),
                    caption="Mean thinking steps until a step no longer changes the energy by "
                    f"much, at most {report.stopping.most_steps}, by the rounds of a solver "
                    "which fills in at once all cells that are decided by now; easy and hard "
                    "puzzles together. Bands are 95 % bootstrap intervals.",
                )
            ]
        ),
    ]


def _learning(report: ReasoningReport) -> list[Section]:
    if not report.curves:
        return []
    unit, measure = "puzzles", "cross-entropy / nats per cell"
    seen = plots.learning_curves(report.curves, "seen", unit, measure)
    seconds = plots.learning_curves(report.curves, "seconds", unit, measure)
    marks = "Faint: training batches; marked: held-out puzzles."
    return [
        Heading("Learning"),
        Plots(
            [
                Plot(
                    svg=plots.svg(seconds, "loss by training time", "seconds"),
                    caption=f"Loss against the seconds trained (equal time). {marks}",
                ),
                Plot(
                    svg=plots.svg(seen, "loss by puzzles", "seen"),
                    caption=f"Loss against the puzzles trained on. {marks}",
                ),
            ]
        ),
    ]
