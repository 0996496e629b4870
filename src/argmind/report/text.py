"""The report of a text run: what was trained, what thinking bought, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from argmind.eval.statistics import Interval
from argmind.report import plots
from argmind.report.data import BudgetRow, Sample, Scores, TextReport
from argmind.report.doubt import doubt_plot
from argmind.report.facts import run_facts
from argmind.report.limits import best_row, comparison, limits
from argmind.report.markup import escape, number, span
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
from argmind.report.passage import passage_html


def text_report(report: TextReport) -> str:
    """The report as one HTML page.

    Raises:
        UserError: matplotlib is not installed.
        ValueError: no budgets were measured.
    """
    if not report.budgets:
        raise ValueError("a text report needs at least one measured budget")
    sections = [
        *_summary(report),
        *_learning(report),
        *_thinking(report),
        *_doubt(report.scores),
        *_passage(report),
        *_samples(report.samples),
        Heading("What this does and does not show"),
        Bullets(limits(report)),
    ]
    return Page(
        title=report.title,
        lead="An energy-based transformer that thinks before every token, beside an ordinary "
        f"transformer of about its size. {report.data}",
        facts=run_facts(report.results, report.parameters, report.phases_s),
        sections=sections,
    ).render()


def _summary(report: TextReport) -> list[Section]:
    best = best_row(report)
    rows = [_row(report.rival, None), *(_row(row, report.rival) for row in report.budgets)]
    marked = frozenset(i + 1 for i, row in enumerate(report.budgets) if row is best)
    caption = (
        "Held-out loss by thinking budget; lower is better, and the budget with the lowest loss is "
        "set off. Small figures are 95 % bootstrap intervals over whole sequences. NFE: "
        "energy-gradient evaluations spent on one token. The last column is the difference in "
        "nats per token on the same sequences, where it was measured, and what its interval says."
    )
    header = (
        "model",
        "steps",
        "candidates",
        "nats / token",
        "bits / byte",
        "NFE",
        "ms / token",
        f"against {report.rival.model}",
    )
    return [
        Heading("What thinking bought"),
        Prose(comparison(report)),
        Table(header=header, rows=rows, caption=caption, marked=marked),
    ]


def _row(row: BudgetRow, rival: BudgetRow | None) -> list[Cell | str]:
    thinks = rival is not None
    return [
        row.model,
        str(row.steps) if thinks else "–",
        str(row.candidates) if thinks else "–",
        _interval(row.nats),
        _interval(row.bits_per_byte),
        number(row.nfe, 1),
        number(row.ms_per_token, 2),
        _against(row, rival) if rival is not None else "–",
    ]


def _interval(interval: Interval) -> Cell:
    return Cell(number(interval.value), span(interval))


def _against(row: BudgetRow, rival: BudgetRow) -> Cell:
    words = row.verdict(rival)
    return Cell(words) if row.difference is None else Cell(words, _signed(row.difference))


def _signed(difference: Interval) -> str:
    sign = "+" if difference.value > 0 else ""
    ends = span(difference)
    return f"{sign}{number(difference.value)}" + (f" ({ends})" if ends else "")


def _learning(report: TextReport) -> list[Section]:
    if not report.curves:
        return []
    tokens = plots.svg(plots.learning_curves(report.curves, "seen"), "Loss by tokens", "tokens")
    seconds = plots.svg(plots.learning_curves(report.curves, "seconds"), "Loss by time", "seconds")
    marks = "Faint: training batches; marked: held-out text."
    items = [
        Plot(svg=tokens, caption=f"Loss against the tokens trained on (equal data). {marks}"),
        Plot(svg=seconds, caption=f"Loss against the seconds trained (equal time). {marks}"),
    ]
    return [Heading("Learning"), Plots(items)]


def _thinking(report: TextReport) -> list[Section]:
    rows, rival = report.budgets, report.rival
    items = [
        Plot(
            svg=plots.svg(plots.against_steps(rows, "nats", rival), "Loss against steps", "loss"),
            caption="Held-out loss against thinking steps, a line for each number of candidates; "
            f"bands are 95 % intervals. Dashed: {rival.model}, which does not think. Trained with "
            f"{report.trained_steps} steps.",
        )
    ]
    if any(row.energy is not None for row in rows):
        picture = plots.svg(plots.against_steps(rows, "energy"), "Energy against steps", "energy")
        items.append(
            Plot(
                svg=picture,
                caption="Mean final energy against thinking steps. If the energy falls while the "
                "loss does not, thinking finds answers that the model likes and the text does not.",
            )
        )
    if len({row.candidates for row in rows}) > 1:
        picture = plots.svg(plots.budget_map(rows), "Loss by steps and candidates", "map")
        caption = "Held-out loss in nats per token for every budget; darker is lower, so better."
        items.append(Plot(svg=picture, caption=caption))
    return [Heading("Loss and energy against thinking steps"), Plots(items)]


def _doubt(scores: Sequence[Scores]) -> list[Section]:
    if not scores:
        return []
    items = [doubt_plot(item, f"doubt-{index}") for index, item in enumerate(scores)]
    return [Heading("Does it know when it is wrong?"), Plots(items)]


def _passage(report: TextReport) -> list[Section]:
    if not report.passage:
        return []
    hint = "Hover over a token, or tap it, for its figures and the five likeliest tokens."
    by_energy = (
        "A held-out passage by the energy of the model's answer for each token (before it saw it). "
        "Darker is more energy: the answer fits the text before it less well. "
    )
    by_steps = "The same passage by the thinking steps each token took; darker is more steps."
    return [
        Heading("A passage"),
        Fragment(html=passage_html(report.passage, "energy"), caption=by_energy + hint),
        Fragment(html=passage_html(report.passage, "steps"), caption=by_steps),
        Fragment(
            html=passage_html(report.passage, "loss"),
            caption="The same passage by the loss each token really had; darker is a worse guess.",
        ),
    ]


def _samples(samples: Sequence[Sample]) -> list[Section]:
    if not samples:
        return []
    pieces: list[Section] = [
        Fragment(
            html=f'<div class="sample"><b>{escape(item.prompt, breaks=True)}</b>'
            f"{escape(item.continuation, breaks=True)}</div>",
            caption=f"{item.model} goes on from the grey prompt ({item.settings}). One draw, not "
            "chosen: it shows the flavour of the text, not the quality of the model.",
        )
        for item in samples
    ]
    return [Heading("Sampled continuations"), *pieces]
