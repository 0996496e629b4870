"""Episodes as pictures: a strip with the energy under it, and paths in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from argmind.report.markup import visible
from argmind.report.plots import INK, PALETTE, legend, styled
from argmind.report.policy_data import Paths, Plane, Strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Characters of a title that fit over a small plot.
_TITLE = 22


@styled
def strip_plot(strip: Strip) -> Figure:
    """Pictures of an episode along its time and, under each, what its plans cost then.

    A mark hangs from the energy of the start of a plan to that after thinking.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    figure.suppressComposite = True  # every picture as sharp as it is
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 1.3))
    above.set_title(visible(f"{strip.model}: {strip.how}"))
    above.grid(False)
    above.set_yticks([])
    above.spines[:].set_visible(False)
    above.tick_params(bottom=False)
    places = np.asarray(strip.pictured, float)
    width = float(np.diff(places).min()) if len(places) > 1 else 1.0
    for place, picture in zip(places, strip.pictures, strict=True):
        ends = (place - 0.47 * width, place + 0.47 * width)
        above.imshow(picture, extent=(*ends, 0.0, 1.0), aspect="auto", interpolation="nearest")
    above.set_ylim(0.0, 1.0)
    _energies(below, strip)
    first = min(places[0] - 0.55 * width, min(strip.planned) - 0.1 * width)
    below.set_xlim(first, places[-1] + 0.55 * width)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure)
    return figure


def _energies(axes: Axes, strip: Strip) -> None:
    axes.vlines(strip.planned, strip.after, strip.before, color=INK, alpha=0.25, linewidth=1.0)
    looks = (("where a plan starts", strip.before, 0.45), ("after thinking", strip.after, 1.0))
    for label, heights, strength in looks:
        axes.plot(
            strip.planned,
            heights,
            color=PALETTE[0],
            alpha=strength,
            marker="o",
            linestyle="-" if strength == 1.0 else ":",
            label=label,
        )
    axes.set(xlabel="step of the environment", ylabel="energy (a cost)")


@styled
def path_plot(plane: Plane, groups: Sequence[Paths]) -> Figure:
    """Where each policy went, side by side; failed episodes in another colour."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Rectangle

    figure = Figure(figsize=(2.6 * len(groups), 3.2), layout="constrained")
    for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
        title = "\n".join(wrap(visible(group.model), _TITLE))
        axes.set(title=title, xticks=[], yticks=[], aspect="equal")
        axes.set(xlim=(plane.low[0], plane.high[0]), ylim=(plane.low[1], plane.high[1]))
        axes.grid(False)
        axes.spines[:].set_visible(True)
        for goal in group.goals:
            axes.add_patch(
                Circle(tuple(goal), plane.goal_radius, color=PALETTE[2], alpha=0.08, linewidth=0)
            )
        width, height = plane.bar
        bar = Rectangle((-width, -height), 2 * width, 2 * height, color=INK, alpha=0.4, linewidth=0)
        axes.add_patch(bar)
        for path, good in zip(group.paths, group.succeeded, strict=True):
            colour = PALETTE[0] if good else PALETTE[1]
            axes.plot(path[:, 0], path[:, 1], color=colour, alpha=0.4, linewidth=1.0)
    figure.legend(
        handles=[_line("reached the goal", PALETTE[0]), _line("failed", PALETTE[1])],
        loc="outside lower center",
        ncols=2,
    )
    return figure


def _line(label: str, colour: str) -> object:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, label=label)
