"""A table of numbers as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from argmind.report.plots import INK, axes_of, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def heat_map(
    values: NDArray[Any], title: str, x: str, y: str, *, first: int = 0, mark: int | None = None
) -> Figure:
    """Rows and columns of ``values``, darker for more; column ``mark`` is framed.

    Columns are counted from ``first`` on.
    Colours span the 2nd to the 98th percentile, so that one extreme does not take them all.
    """
    figure, axes = axes_of(title, x, y)
    axes.grid(False)
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
    rows, columns = values.shape
    shown = axes.imshow(
        values,
        cmap="Blues",
        aspect="auto",
        vmin=low,
        vmax=max(high, low + 1e-12),
        extent=(first - 0.5, first + columns - 0.5, rows - 0.5, -0.5),
    )
    figure.colorbar(shown, ax=axes)
    if mark is not None:
        axes.plot(
            [mark - 0.5, mark + 0.5, mark + 0.5, mark - 0.5, mark - 0.5],
            [-0.5, -0.5, rows - 0.5, rows - 0.5, -0.5],
            color=INK,
            linewidth=1.2,
        )
    return figure
