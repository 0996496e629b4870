"""Sudoku boards on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from argmind.data.reasoning.boards import Board, Cells
    from argmind.reasoning.run import Solution


def board_lines(one: Solution, board: Board) -> Iterator[Text]:
    """The solution; or every board on its way, each with its energy."""
    from rich.text import Text

    if not one.way:
        yield from grid_lines(one.given, one.answer, board)
    before = one.given
    for step, (grid, energy) in enumerate(one.way):
        yield Text(f"step {step}, energy {energy:.3f}", style="dim")
        yield from grid_lines(one.given, grid, board, before)
        before = grid


def grid_lines(
    given: Cells, grid: Cells, board: Board, before: Cells | None = None
) -> Iterator[Text]:
    """A board line by line: givens bold, what is new since ``before`` green, boxes apart."""
    from rich.text import Text

    height, width = board.box
    for row in range(board.side):
        if row and row % height == 0:
            yield Text("─┼─".join("─" * (2 * width - 1) for _ in range(board.side // width)))
        line = Text()
        for column in range(board.side):
            place = row * board.side + column
            if column:
                line.append(" │ " if column % width == 0 else " ")
            new = before is not None and grid[place] != before[place]
            style = "bold" if given[place] else "green" if new else ""
            line.append(str(grid[place]) if grid[place] else "·", style)
        yield line
