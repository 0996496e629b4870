"""The page of ``argmind eval --thinking``: what thinking buys a model, and whether it knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from argmind.eval.curvature import OVERSHOOT
from argmind.eval.statistics import Interval
from argmind.eval.thinking_data import Row, ThinkingStudy
from argmind.report import plots
from argmind.report.markup import number, span
from argmind.report.page import Bullets, Cell, Heading, Page, Plot, Plots, Section, Table
from argmind.report.series import Mark, Series, series_plot
from argmind.report.thinking_words import findings, judged


def thinking_study_page(study: ThinkingStudy, facts: Sequence[tuple[str, str]]) -> str:
    """The page as HTML.

    Raises:
        UserError: matplotlib is not installed.
    """
    sections: list[Section] = [
        Heading("What was found"),
        Bullets(findings(study)),
        *_budgets(study),
        *_adaptive(study),
        *_calibration(study),
        *_landscape(study),
    ]
    return Page(
        title="What thinking does",
        lead="Held-out answers by steps and candidates, where to stop, and whether low energy "
        "means a good answer.",
        facts=facts,
        sections=sections,
    ).render()


def _budgets(study: ThinkingStudy) -> list[Section]:
    quality = study.quality
    own = [row for row in study.rows if row.split == study.first]
    items: list[Plot] = []
    if len(own) > 1:
        values = {(row.steps, row.candidates): row.quality.value for row in own}
        grid = plots.value_map(values, quality.name, more_is_better=quality.more_is_better)
        items.append(
            Plot(
                svg=plots.svg(grid, f"{quality.name} by steps and candidates", "map"),
                caption=f"{quality.name} on '{study.first}' by thinking steps and candidates; "
                "darker is better.",
            )
        )
        items.append(_splits_plot(study))
    header = ("split", "steps", "candidates", quality.name, "NFE", "ms")
    return [
        Heading("Steps and candidates"),
        Plots(items),
        Table(
            header=header,
            rows=[_cells(row) for row in study.rows],
            caption="Every budget; small figures are 95 % bootstrap intervals over samples. NFE: "
            "network evaluations per prediction, all candidates together; ms: of one prediction.",
        ),
    ]


def _cells(row: Row) -> list[Cell | str]:
    return [
        row.split,
        str(row.steps),
        str(row.candidates),
        Cell(number(row.quality.value), span(row.quality)),
        number(row.nfe, 1),
        number(row.ms_per_prediction, 3),
    ]


def _splits_plot(study: ThinkingStudy) -> Plot:
    lines = {split: study.line(split) for split in dict.fromkeys(row.split for row in study.rows)}
    series = [
        Series(label=split, x=[row.steps for row in line], values=[row.quality for row in line])
        for split, line in lines.items()
    ]
    trained = Mark(label="as trained", at=study.trained_steps, along="x")
    figure = series_plot(
        series,
        "Longer thinking",
        "thinking steps",
        study.quality.name,
        scale="log",
        marks=[trained],
    )
    return Plot(
        svg=plots.svg(figure, f"{study.quality.name} by steps, split by split", "splits"),
        caption=f"{study.quality.name} against thinking steps with one candidate; a line for each "
        "held-out set, the first as in training, the others further from it. Bands are 95 % "
        "bootstrap intervals.",
    )


def _adaptive(study: ThinkingStudy) -> list[Section]:
    if not study.adaptive:
        return []
    rows: list[list[Cell | str]] = []
    for row in study.adaptive:
        fixed = row.minus_fixed
        rows.append(
            [
                f"{row.tolerance:.3g}",
                number(row.nfe, 2),
                _ranged(row.quality),
                "–" if row.at_equal_nfe is None else _ranged(row.at_equal_nfe),
                "–" if fixed is None else Cell(judged(fixed, study.quality), _signed(fixed)),
            ]
        )
    header = ("tolerance", "mean NFE", "stopping", "fixed, equal NFE", "difference")
    return [
        Heading("Stopping when settled, against fixed budgets"),
        Table(
            header=header,
            rows=rows,
            caption=f"{study.quality.name} on '{study.first}' where thinking stops once a step "
            "changes the energy by less than the tolerance, and of fixed budgets mixed to the "
            "same mean NFE; the difference is paired.",
        ),
    ]


def _calibration(study: ThinkingStudy) -> list[Section]:
    tenths = study.calibration.tenths
    if len(tenths) < 2:
        return []
    figure = series_plot(
        [
            Series(
                label="a tenth of the predictions",
                x=[tenth.energy for tenth in tenths],
                values=[tenth.quality for tenth in tenths],
            )
        ],
        "Does low energy mean right?",
        "mean energy of a tenth (a cost, no unit)",
        study.quality.name,
    )
    caption = (
        f"{study.quality.name} of the predictions by tenths of their energy, at the trained "
        f"budget on '{study.first}'. Of models without an energy: what stands for it."
    )
    return [
        Heading("Calibration of the energy"),
        Plots(
            [Plot(svg=plots.svg(figure, "quality by tenths of energy", "tenths"), caption=caption)]
        ),
    ]


def _landscape(study: ThinkingStudy) -> list[Section]:
    found: list[Section] = []
    if study.falling:
        found.append(_falling(study))
    if study.steepness:
        found.append(_steepness(study))
    if study.spreads:
        found.append(_spreads(study))
    return [Heading("The way down"), *found] if found else []


def _falling(study: ThinkingStudy) -> Plot:
    shares = [Interval(share) for share in study.falling]
    steps = list(range(1, len(shares) + 1))
    figure = series_plot(
        [Series(label="lowered the energy", x=steps, values=shares)],
        "Steps that lower the energy",
        "step",
        "share of predictions",
        marks=[Mark(label="as trained", at=study.trained_steps, along="x")],
    )
    return Plot(
        svg=plots.svg(figure, "share of steps that lower the energy", "falling"),
        caption=f"The share of predictions on '{study.first}' whose energy each step lowered.",
    )


def _steepness(study: ThinkingStudy) -> Table:
    rows = [
        [
            str(row.steps),
            number(float(np.nanmedian(row.values)), 3),
            number(float(np.nanpercentile(row.values, 95)), 3),
            number(100 * float((row.values > OVERSHOOT).mean()), 1),
        ]
        for row in study.steepness
    ]
    return Table(
        header=("after steps", "median", "95th percentile", f"% above {OVERSHOOT:g}"),
        rows=rows,
        caption="Step size × largest eigenvalue of the energy's Hessian at the candidate, by power "
        f"iteration, over predictions of the first batch. Above {OVERSHOOT:g} a step overshoots.",
    )


def _spreads(study: ThinkingStudy) -> Table:
    rows: list[list[Cell | str]] = [
        [
            str(row.steps),
            str(row.candidates),
            _ranged(row.distance),
            "–" if row.distinct is None else _ranged(row.distinct),
        ]
        for row in study.spreads
    ]
    return Table(
        header=("after steps", "candidates", "distance", "answers of their own"),
        rows=rows,
        caption="How different several candidates of one problem are: root mean square difference "
        "(of probabilities, where answers are symbols), mean over pairs; and the share of the "
        "candidates after the first whose answer no earlier one gave.",
    )


def _ranged(interval: Interval) -> Cell:
    return Cell(number(interval.value), span(interval))


def _signed(interval: Interval) -> str:
    sign = "+" if interval.value > 0 else ""
    return f"{sign}{number(interval.value)} ({span(interval)})"
