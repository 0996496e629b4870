"""The report of denoisers: what thinking bought, against diffusion and against one pass."""

from __future__ import annotations

from collections.abc import Sequence

from argmind.report import plots
from argmind.report.data import Curve
from argmind.report.doubt import doubt_plot
from argmind.report.facts import run_facts
from argmind.report.image_data import ImageReport, ImageRow, NoiseLevel, gain_verdict
from argmind.report.image_limits import comparison, limits, signed
from argmind.report.markup import number, span
from argmind.report.page import Bullets, Cell, Heading, Page, Plot, Plots, Prose, Section, Table
from argmind.report.series import Mark, Series, series_plot


def image_report(report: ImageReport) -> str:
    """The report as one HTML page.

    Raises:
        UserError: matplotlib is not installed.
        ValueError: nothing was measured.
    """
    if not all(level.rows for level in report.levels):
        raise ValueError("a report on denoising needs measured budgets at every noise level")
    sections = [
        Heading("What thinking bought"),
        *(Prose(comparison(report, level)) for level in report.levels),
        *_against_passes(report),
        *(_table(report, level) for level in report.levels),
        *([Heading("Pictures"), *report.pictures] if report.pictures else []),
        *_doubt(report),
        *_learning(report),
        Heading("What this does and does not show"),
        Bullets(limits(report)),
    ]
    return Page(
        title=report.title,
        lead="An energy-based transformer that descends from the noisy image to a clean one, "
        f"beside {' and '.join(report.rivals)} of about its size. {report.data}",
        facts=run_facts(report.results, report.parameters, report.phases_s),
        sections=sections,
    ).render()


def _against_passes(report: ImageReport) -> list[Section]:
    items = [_passes_plot(report, level, index) for index, level in enumerate(report.levels)]
    return [Heading("Quality against network evaluations"), Plots(items)]


def _passes_plot(report: ImageReport, level: NoiseLevel, index: int) -> Plot:
    models = dict.fromkeys(row.model for row in level.rows)
    series = [
        Series(
            label=model,
            x=[row.nfe for row in level.of(model)],
            values=[row.psnr for row in level.of(model)],
        )
        for model in models
    ]
    trained = Mark(label=f"{report.thinker} as trained", at=report.trained_steps, along="x")
    figure = series_plot(
        series,
        f"PSNR at {level.name}",
        "network evaluations (NFE) per image",
        "PSNR / dB",
        scale="log",
        marks=[trained],
    )
    return Plot(
        svg=plots.svg(figure, f"PSNR against NFE at {level.name}", f"psnr-{index}"),
        caption=f"Held-out PSNR against network evaluations at {level.name}, std {level.std:g}; "
        "more is better. Bands are 95 % bootstrap intervals over images. The axis is logarithmic "
        "from 1; at 0 the noisy image is only kept within [−1, 1].",
    )


def _table(report: ImageReport, level: NoiseLevel) -> Table:
    rows = list(level.rows)
    trained = level.at(report.thinker, report.trained_steps)
    against = f"minus {report.thinker} as trained"
    return Table(
        header=("model", "budget", "PSNR / dB", "NFE", "ms / image", against),
        rows=[_cells(row) for row in rows],
        caption=f"Every budget at {level.name} (std {level.std:g}); small figures are 95 % "
        f"bootstrap intervals over held-out images. {report.thinker} as trained is set off, and "
        "the last column is the paired difference from it, with what its interval says.",
        labels=2,
        marked=frozenset({rows.index(trained)}),
    )


def _cells(row: ImageRow) -> list[Cell | str]:
    against: Cell | str = "–"
    if row.difference is not None:
        against = Cell(gain_verdict(row.difference), signed(row.difference))
    return [
        row.model,
        row.budget,
        Cell(number(row.psnr.value, 2), span(row.psnr, 2)),
        number(row.nfe, 0),
        number(row.ms_per_image, 2),
        against,
    ]


def _doubt(report: ImageReport) -> list[Section]:
    if not report.scores:
        return []
    items = [doubt_plot(item, f"doubt-{index}") for index, item in enumerate(report.scores)]
    return [Heading("Does it know when it is wrong?"), Plots(items)]


def _learning(report: ImageReport) -> list[Section]:
    items = [
        plot
        for index, (measure, curves) in enumerate(report.curves.items())
        for plot in _curve_plots(measure, curves, index)
    ]
    return [Heading("Learning"), Plots(items)] if items else []


def _curve_plots(measure: str, curves: Sequence[Curve], index: int) -> list[Plot]:
    marks = "Faint: training batches; marked: held-out images."
    seen = plots.learning_curves(curves, "seen", "images", measure)
    seconds = plots.learning_curves(curves, "seconds", "images", measure)
    return [
        Plot(
            svg=plots.svg(seen, f"{measure} by images", f"seen-{index}"),
            caption=f"{measure} against the images trained on (equal data). {marks}",
        ),
        Plot(
            svg=plots.svg(seconds, f"{measure} by time", f"seconds-{index}"),
            caption=f"{measure} against the seconds trained (equal time). {marks}",
        ),
    ]
