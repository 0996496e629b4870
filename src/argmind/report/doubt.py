"""A model's own sign of doubt against the error it really made, as a plot that explains itself."""

from __future__ import annotations

import numpy as np

from argmind.eval.statistics import spearman
from argmind.report import plots
from argmind.report.data import Scores
from argmind.report.markup import number
from argmind.report.page import Plot


def doubt_plot(scores: Scores, key: str) -> Plot:
    """The plot; ``key`` must differ between the pictures of one page."""
    values, losses = scores.finite()
    left_out = np.size(scores.values) - len(values)
    omitted = f" {left_out:,} {scores.items} that are not finite are left out." if left_out else ""
    caption = (
        f"{len(values):,} held-out {scores.items} by the {scores.signal} that {scores.model} gave "
        "to its own answer and the loss it then had; the line is the mean loss of tenths. "
        f"Spearman's rank correlation is {number(spearman(values, losses), 2)}: 1 would mean that "
        f"it always knows how wrong it is, 0 that it never does.{omitted}"
    )
    picture = plots.svg(plots.signal_against_loss(scores), f"{scores.signal} against loss", key)
    return Plot(svg=picture, caption=caption)
