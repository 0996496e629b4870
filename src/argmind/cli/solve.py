"""``argmind solve``: puzzles in, solutions out, each checked by the rules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budget_of
from argmind.cli._parser import Parsers, add_verb, whole
from argmind.cli._runs import add_checkpoint, open_reasoning_run
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from argmind.data.reasoning.boards import Board, Cells
    from argmind.reasoning.run import ReasoningRun, Solution

_STDIN = "-"


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "solve",
        run,
        "solve Sudoku puzzles by thinking, and check every solution by the rules",
        "argmind solve runs/reasoning_sudoku_ebt-1 puzzle.txt --steps 16 --trace",
        "argmind solve runs/reasoning_sudoku_ebt-1 puzzles.txt --candidates 8",
        "echo 1.3...4...2.4..1 | argmind solve runs/quickstart -",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "puzzles",
        metavar="FILE",
        help="a puzzle a line, cells in reading order, 0 or . for an unknown one; - reads stdin",
    )
    parser.add_argument("--trace", action="store_true", help="show the grid after every step")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the candidates' starts")
    parser.add_argument("--batch-size", type=whole(1), default=64, metavar="B", help="at a time")
    add_budget(parser, several=False)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Read, think, check."""
    from argmind.reasoning.puzzles import as_line, parse_puzzles

    lines = _lines(args.puzzles)
    opened = open_reasoning_run(args.run_folder, args)
    board = opened.board
    given = parse_puzzles(lines, board, "stdin" if args.puzzles == _STDIN else args.puzzles)
    budget = budget_of(args, opened.predictor, trace=args.trace)
    solutions: list[Solution] = []
    with args.screen.counting("thinking", len(given)) as done:
        for first in range(0, len(given), args.batch_size):
            part = given[first : first + args.batch_size]
            solutions += opened.answer(part, budget, seed=args.seed, first=first)
            done(len(solutions))
    plain = {
        **_head(opened, args),
        "solved": sum(one.solved for one in solutions),
        "puzzles": [_plain(one, as_line) for one in solutions],
    }
    args.screen.result(plain, lambda out: _show(solutions, board, args.trace, out))
    return 0


def _lines(name: str) -> list[str]:
    try:
        if name == _STDIN:
            return sys.stdin.read().splitlines()
        return Path(name).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not a text file of puzzles ({error.reason}).") from error


def _head(opened: ReasoningRun, args: argparse.Namespace) -> dict[str, Any]:
    return {"run": str(opened.run.folder), "step": opened.run.step, "seed": args.seed}


def _plain(one: Solution, as_line: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "puzzle": as_line(one.given),
        "solution": as_line(one.answer),
        "solved": one.solved,
        "wrong": one.wrong,
        "energy": one.energy,
        "steps": one.steps,
        "nfe": one.nfe,
    }
    if one.way:
        plain["trace"] = [{"grid": as_line(grid), "energy": energy} for grid, energy in one.way]
    return plain


# ------------------------------------------------------------------ shown


def _show(solutions: Sequence[Solution], board: Board, trace: bool, out: Console) -> None:
    if len(solutions) == 1 or trace:
        for number, one in enumerate(solutions, start=1):
            if len(solutions) > 1:
                out.print(f"puzzle {number}", style="bold")
            _show_one(one, board, out)
    if len(solutions) > 1:
        _show_table(solutions, out)


def _show_one(one: Solution, board: Board, out: Console) -> None:
    before = one.given
    for step, (grid, energy) in enumerate(one.way):
        out.print(f"step {step}, energy {energy:.3f}", style="dim")
        for line in grid_lines(one.given, grid, board, before):
            out.print(line)
        before = grid
    if not one.way:
        for line in grid_lines(one.given, one.answer, board):
            out.print(line)
    out.print(_verdict(one))


def _verdict(one: Solution) -> Text:
    from rich.text import Text

    word = ("solved", "bold green") if one.solved else (f"not solved: {one.wrong}", "bold red")
    return Text.assemble(
        word, f"; energy {one.energy:.3f}, {one.steps} steps, {one.nfe} evaluations"
    )


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


def _show_table(solutions: Sequence[Solution], out: Console) -> None:
    from rich import box
    from rich.table import Table

    from argmind.reasoning.puzzles import as_line

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for head in ("puzzle", "solution", "", "energy", "steps", "NFE"):
        words = head in ("solution", "")
        table.add_column(head, justify="left" if words else "right", overflow="fold")
    for number, one in enumerate(solutions, start=1):
        word = "solved" if one.solved else f"not solved: {one.wrong}"
        figures = (f"{one.energy:.3f}", str(one.steps), str(one.nfe))
        style = None if one.solved else "red"
        table.add_row(str(number), as_line(one.answer), word, *figures, style=style)
    out.print(table)
    solved = sum(one.solved for one in solutions)
    out.print(f"{solved} of {len(solutions)} solved")
