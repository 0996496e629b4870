"""Boards filling in, step by step: every cell its likeliest value, as dark as it is sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.reasoning.boards import Board
from argmind.report.markup import escape, number

_CELL = 22
#: Of values that are right, and wrong; told apart by shape too: wrong ones are struck through.
_RIGHT, _WRONG = "#0072b2", "#d55e00"
#: A cell is shown once its likeliest value is this much likelier than one of all.
_TOLD = 1.05


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a model held after a step: chances (cells, values), and how unsure it was."""

    step: int
    chances: NDArray[Any]
    energy: float


@dataclass(frozen=True, kw_only=True)
class Way:
    """One puzzle as one model fills it in."""

    model: str
    how: str  # how the puzzle was chosen
    board: Board
    given: NDArray[Any]  # (cells,), 0 where open
    solution: NDArray[Any]
    frames: Sequence[Frame]


def way_html(way: Way) -> str:
    """The boards of one model side by side."""
    boards = "".join(
        f'<div>{board_svg(way, frame)}<span class="note">{_words(way, frame)}</span></div>'
        for frame in way.frames
    )
    return f'<div class="boards"><b>{escape(way.model)}</b>{boards}</div>'


def wrong_cells(way: Way, frame: Frame) -> int:
    """Open cells that do not hold the solution's value."""
    right = _told(frame) & (frame.chances.argmax(-1) + 1 == way.solution)
    return int(((way.given == 0) & ~right).sum())


def board_svg(way: Way, frame: Frame) -> str:
    """One board as an ``<svg>`` element."""
    side, (height, width) = way.board.side, way.board.box
    edge = side * _CELL
    lines = "".join(
        _line(place, edge, place % height == 0, across=True)
        + _line(place, edge, place % width == 0, across=False)
        for place in range(side + 1)
    )
    cells = "".join(_cell(way, frame, place) for place in range(way.board.cells))
    title = escape(f"{way.model} after step {frame.step}")
    return (
        f'<svg role="img" aria-label="{title}" viewBox="-1 -1 {edge + 2} {edge + 2}" '
        f'width="{edge + 2}" height="{edge + 2}">{lines}{cells}</svg>'
    )


def _line(place: int, edge: int, thick: bool, *, across: bool) -> str:
    at, width = place * _CELL, 1.6 if thick else 0.5
    ends = f'x1="0" x2="{edge}" y1="{at}" y2="{at}"'
    if not across:
        ends = f'x1="{at}" x2="{at}" y1="0" y2="{edge}"'
    return f'<line {ends} stroke="currentColor" stroke-width="{width}"/>'


def _cell(way: Way, frame: Frame, place: int) -> str:
    row, column = divmod(place, way.board.side)
    x, y = (column + 0.5) * _CELL, (row + 0.72) * _CELL
    where = f'x="{x:g}" y="{y:g}" text-anchor="middle" font-size="14"'
    if way.given[place]:
        value = int(way.given[place])
        return f'<text {where} fill="currentColor" font-weight="700">{value}</text>'
    if not _told(frame)[place]:
        return ""
    value, sure = int(frame.chances[place].argmax()) + 1, float(frame.chances[place].max())
    right = value == way.solution[place]
    look = f'fill="{_RIGHT if right else _WRONG}" fill-opacity="{max(0.25, sure):.2f}"'
    struck = "" if right else ' text-decoration="line-through"'
    return f"<text {where} {look}{struck}>{value}</text>"


def _told(frame: Frame) -> NDArray[np.bool_]:
    """Cells (cells,) that say something."""
    chances = frame.chances
    return np.isfinite(chances).all(-1) & (chances.max(-1) * chances.shape[-1] > _TOLD)


def _words(way: Way, frame: Frame) -> str:
    wrong = wrong_cells(way, frame)
    state = "solved" if not wrong else f"{wrong} to go"
    energy = f", E {number(frame.energy, 2)}" if math.isfinite(frame.energy) else ""
    return f"step {frame.step}{energy}: {state}"
