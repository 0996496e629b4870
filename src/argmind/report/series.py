"""Lines with bands: a measure against what it cost, or against time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from argmind.eval.statistics import Interval
from argmind.report.markup import visible
from argmind.report.plots import INK, axes_of, colours_of, legend, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, kw_only=True)
class Series:
    """A measure with its intervals at places along an axis."""

    label: str
    x: Sequence[float]
    values: Sequence[Interval]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.values):
            raise ValueError(f"series {self.label}: places and values differ in number")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place along the horizontal axis, or a level of the vertical one, that means something."""

    label: str
    at: float
    along: Literal["x", "y"]


@styled
def series_plot(
    series: Sequence[Series],
    title: str,
    x: str,
    y: str,
    *,
    scale: Literal["linear", "log"] = "linear",
    marks: Sequence[Mark] = (),
) -> Figure:
    """A line and a band for each; ``log`` is linear from 0 to 1 and logarithmic from there."""
    figure, axes = axes_of(title, x, y)
    looks = colours_of([one.label for one in series])
    for one in series:
        colour, marker = looks[one.label]
        heights = [interval.value for interval in one.values]
        axes.plot(one.x, heights, color=colour, marker=marker, label=visible(one.label))
        low = [np.nan if i.low is None else i.low for i in one.values]
        high = [np.nan if i.high is None else i.high for i in one.values]
        axes.fill_between(one.x, low, high, color=colour, alpha=0.14, linewidth=0)
    for mark in marks:
        draw = axes.axhline if mark.along == "y" else axes.axvline
        draw(mark.at, color=INK, linestyle="--", linewidth=1.0, label=visible(mark.label))
    if scale == "log":
        axes.set_xscale("symlog", linthresh=1.0)
        most = max((place for one in series for place in one.x), default=1.0)
        ticks = [tick for tick in _TICKS if tick <= most]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    legend(figure)
    return figure
