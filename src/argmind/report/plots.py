"""The plots of reports: matplotlib figures without global state, and their inline SVG.

Every function returns a ``matplotlib.figure.Figure``; :func:`svg` makes it part of a page. The
colours are those of Okabe and Ito (2008), told apart under the common forms of colour blindness.
"""

from __future__ import annotations

import functools
import html
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import numpy as np

from argmind.errors import UserError
from argmind.eval.statistics import spearman
from argmind.report.data import BudgetRow, Curve, Scores
from argmind.report.markup import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Replaced by currentColor in a page, so that words and axes follow its light or dark theme.
INK = "#22262e"

STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "axes.axisbelow": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "figure.figsize": (5.4, 3.5),
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "text.parse_math": False,  # a "$" in a name is a dollar
    "svg.fonttype": "none",
    "svg.hashsalt": "argmind",
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under :data:`STYLE`, leaving matplotlib's settings as they were."""

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with _matplotlib().rc_context(STYLE), warnings.catch_warnings():
            # The browser has the letters that matplotlib's own font lacks.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            return function(*args, **kwargs)

    return inside


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(
            "plots need matplotlib, which is not installed: pip install 'argmind[report]'."
        ) from error
    return matplotlib


@styled
def svg(figure: Figure, title: str, key: str) -> str:
    """The figure as an ``<svg>`` element for HTML.

    ``title`` is what a screen reader says; ``key`` must differ between the pictures of one page,
    whose inner names it keeps apart.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r'href="#', f'href="#{key}-', text).replace("url(#", f"url(#{key}-")
    text = text.replace(INK, "currentColor")
    opening, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', opening)
    label = html.escape(visible(title), quote=True)
    return f'<svg role="img" aria-label="{label}" {box[0] if box else ""}>{rest}'


def axes_of(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=visible(title), xlabel=visible(x), ylabel=visible(y))
    return figure, axes


def legend(figure: Figure, columns: int = 2) -> None:
    figure.legend(loc="outside lower center", ncols=columns)


def colours_of(names: Sequence[Any]) -> dict[Any, tuple[str, str]]:
    """A colour and a marker for each different name, in order of appearance."""
    different = list(dict.fromkeys(names))
    return {
        name: (PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(different)
    }


@styled
def learning_curves(
    curves: Sequence[Curve],
    against: Literal["seen", "seconds"] = "seen",
    unit: str = "tokens",
    measure: str = "loss / nats per token",
) -> Figure:
    """The loss of every run against what it was trained on (in ``unit``) or seconds trained."""
    from matplotlib.ticker import EngFormatter

    title, label = {
        "seen": ("Learning at equal data", f"training {unit}"),
        "seconds": ("Learning at equal time", "training time / s"),
    }[against]
    figure, axes = axes_of(title, label, measure)
    looks = colours_of([curve.model for curve in curves])
    for curve in curves:
        colour, marker = looks[curve.model]
        held_out = curve.split == "held-out"
        axes.plot(
            np.asarray(getattr(curve, against), float),
            np.asarray(curve.losses, float),
            color=colour,
            label=visible(f"{curve.model}, {curve.split}"),
            marker=marker if held_out else "",
            alpha=1.0 if held_out else 0.4,
            linewidth=1.7 if held_out else 1.0,
        )
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    legend(figure)
    return figure


@styled
def against_steps(
    rows: Sequence[BudgetRow],
    quantity: Literal["nats", "energy"],
    rival: BudgetRow | None = None,
) -> Figure:
    """Loss or energy against thinking steps, a line per candidates count, with interval bands.

    The rival, which does not think, is a level line. Rows without the quantity are left out.
    """
    from matplotlib.ticker import MaxNLocator

    titles = {"nats": "Loss against thinking", "energy": "Energy against thinking"}
    units = {"nats": "loss / nats per token", "energy": "final energy (a cost, no unit)"}
    figure, axes = axes_of(titles[quantity], "thinking steps", units[quantity])
    looks = colours_of([row.candidates for row in rows])
    for candidates, (colour, marker) in looks.items():
        line = sorted((r for r in rows if r.candidates == candidates), key=lambda row: row.steps)
        _line_with_band(axes, line, quantity, colour, marker)
    if rival is not None and quantity == "nats":
        axes.axhline(rival.nats.value, color=INK, linestyle="--", label=visible(rival.model))
        if rival.nats.low is not None and rival.nats.high is not None:
            axes.axhspan(rival.nats.low, rival.nats.high, color=INK, alpha=0.08, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure)
    return figure


def _line_with_band(
    axes: Axes, rows: Sequence[BudgetRow], quantity: str, colour: str, marker: str
) -> None:
    known = [(row.steps, getattr(row, quantity)) for row in rows]
    points = [(steps, interval) for steps, interval in known if interval is not None]
    if not points:
        return
    candidates = rows[0].candidates
    steps = [step for step, _ in points]
    axes.plot(
        steps,
        [interval.value for _, interval in points],
        color=colour,
        marker=marker,
        label=f"{candidates} candidate{'s' if candidates > 1 else ''}",
    )
    low = [np.nan if i.low is None else i.low for _, i in points]
    high = [np.nan if i.high is None else i.high for _, i in points]
    axes.fill_between(steps, low, high, color=colour, alpha=0.14, linewidth=0)


@styled
def signal_against_loss(scores: Scores) -> Figure:
    """Density of held-out predictions by the model's own signal and the loss it really had.

    The line is the mean loss of ten groups of equal size, from least to greatest signal; the title
    has Spearman's rank correlation. What is not finite is left out.
    """
    from matplotlib.colors import LogNorm

    values, losses = scores.finite()
    unit = "a cost, no unit" if scores.unit == "1" else scores.unit
    title = f"{scores.model}: rank correlation {spearman(values, losses):.2f}"
    figure, axes = axes_of(title, f"{scores.signal} ({unit})", f"actual loss / {scores.loss_unit}")
    if len(values) == 0:
        axes.text(0.5, 0.5, "no finite values", transform=axes.transAxes, ha="center")
        return figure
    cells = axes.hexbin(
        values, losses, gridsize=(26, 14), mincnt=1, cmap="Blues", norm=LogNorm(), linewidths=0.1
    )
    counts = cells.get_array()
    most = 2.0 if counts is None else max(2.0, float(counts.max()))
    cells.set_clim(0.4, most)  # below 1, so that a single one is not white on white
    bar = figure.colorbar(cells, ax=axes, label=f"{scores.items} in a cell", format="%g")
    bar.ax.set_ylim(1, most)
    bar.minorticks_off()
    groups = np.array_split(np.argsort(values, kind="stable"), min(10, len(values)))
    axes.plot(
        [values[group].mean() for group in groups],
        [losses[group].mean() for group in groups],
        color=PALETTE[1],
        marker="o",
        label=f"mean loss of a tenth of the {scores.items}",
    )
    legend(figure, 1)
    return figure


def budget_map(rows: Sequence[BudgetRow]) -> Figure:
    """Nats per token on the grid of thinking steps × candidates; darker is lower, so better."""
    values = {(row.steps, row.candidates): row.nats.value for row in rows}
    return value_map(values, "Loss by budget / nats per token", more_is_better=False)


@styled
def value_map(
    values: Mapping[tuple[int, int], float], title: str, *, more_is_better: bool
) -> Figure:
    """Numbers by (thinking steps, candidates), written into their fields; darker is better."""
    steps = sorted({step for step, _ in values})
    counts = sorted({count for _, count in values})
    grid = np.full((len(counts), len(steps)), np.nan)
    for (step, count), value in values.items():
        grid[counts.index(count), steps.index(step)] = value
    figure, axes = axes_of(title, "thinking steps", "candidates")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    colours = "Blues" if more_is_better else "Blues_r"
    shown = axes.imshow(grid, cmap=colours, aspect="auto", origin="lower")
    axes.set_xticks(range(len(steps)), [str(step) for step in steps])
    axes.set_yticks(range(len(counts)), [str(count) for count in counts])
    for (i, j), value in np.ndenumerate(grid):
        if np.isfinite(value):
            red, green, blue, _ = shown.cmap(shown.norm(value))
            light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
            ink = "#14161a" if light else "#ffffff"
            axes.text(j, i, f"{value:.3f}", ha="center", va="center", color=ink, size=8.5)
    return figure
