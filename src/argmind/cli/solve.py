"""``argmind solve``: problems in, answers out, each checked by the rules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.cli._budget import add_budget, budget_of
from argmind.cli._parser import Parsers, add_verb, whole
from argmind.cli._runs import add_checkpoint, open_reasoning_run
from argmind.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from argmind.reasoning.run import ReasoningRun
    from argmind.reasoning.threshold import Threshold
    from argmind.reasoning.written import Answer
    from argmind.thinking.budget import Budget

_STDIN = "-"
#: How problems are written, by what a run was trained on.
_FORMS = """\
how problems are written, one a line, by what the run was trained on:
  sudoku          12.434.22.434321      cells in reading order, 0 or . for an unknown one
  addition        12+345                whole numbers
  multiplication  12*34
  dyck            ([]{                  the beginning of a word, to be closed
  sorting         0.3 0.1 0.7           numbers of [0, 1], as many as in training
  connectivity    6; 0-1 1-2 4-5        how many nodes; edges between nodes, from 0
  shortest_path   6; 0-1 1-2 2-5; 0>5   the same; start > goal
  inverse         2 0; 0 4              a matrix, of the size trained, row after row
  completion      1 2; 2 ?              the same, ? for an entry that is not seen
  vector_sum      1 2; 3 4 + 5 6; 7 8   two matrices
empty lines and # lines are left out.
"""


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "solve",
        run,
        "solve puzzles and other reasoning problems by thinking, and check every answer",
        "argmind solve runs/reasoning_sudoku_ebt-1 puzzle.txt --steps 16 --trace",
        "argmind solve runs/reasoning_sudoku_ebt-1 puzzles.txt --candidates 8",
        "argmind solve runs/reasoning_sudoku_ebt-1 --steps 16 --calibrate 500",
        "echo 1.3...4...2.4..1 | argmind solve runs/quickstart -",
    )
    parser.epilog = f"{_FORMS}\n{parser.epilog}"
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "puzzles", metavar="FILE", nargs="?", help="problems, one a line (see below); - reads stdin"
    )
    parser.add_argument("--trace", action="store_true", help="show the answer after every step")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="E",
        help="answers with more energy are not solved (default: as calibrated for this budget)",
    )
    parser.add_argument(
        "--calibrate",
        type=whole(2),
        metavar="N",
        help="learn the threshold of this budget from N held-out problems of each split, and keep "
        "it beside the run",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the candidates' starts")
    parser.add_argument("--batch-size", type=whole(1), default=64, metavar="B", help="at a time")
    add_budget(parser, several=False)
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Read, think, check."""
    if args.puzzles is None and args.calibrate is None:
        raise UserError("name a file of problems, or - for stdin. See `argmind solve --help`.")
    lines = None if args.puzzles is None else _lines(args.puzzles)
    opened = open_reasoning_run(args.run_folder, args)
    budget = budget_of(args, opened.predictor, trace=args.trace)
    read = None if lines is None else _read(opened, lines, _name(args))
    threshold = _threshold(opened, budget, args)
    plain: dict[str, Any] = {
        **{"run": str(opened.run.folder), "step": opened.run.step, "seed": args.seed},
        "threshold": None if threshold is None else vars(threshold),
    }
    if read is None:
        args.screen.result(plain, lambda _: None)  # it has been told
        return 0
    solutions = [_believed(one, threshold) for one in _solved(opened, read, budget, args)]
    written = [one.written if opened.plays_sudoku else one for one in solutions]
    plain["solved"] = sum(one.solved for one in written)
    plain["puzzles"] = [_plain(one, opened.plays_sudoku) for one in written]
    shown = solutions if args.trace or len(solutions) == 1 else []
    args.screen.result(plain, lambda out: _show(written, shown, opened, out))
    return 0


def _name(args: argparse.Namespace) -> str:
    return "stdin" if args.puzzles == _STDIN else args.puzzles


def _lines(name: str) -> list[str]:
    try:
        if name == _STDIN:
            return sys.stdin.read().splitlines()
        return Path(name).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not a text file of puzzles ({error.reason}).") from error


def _read(opened: ReasoningRun, lines: Sequence[str], name: str) -> Any:
    """Boards, or the problems of other lines."""
    from argmind.reasoning.puzzles import parse_puzzles

    if opened.plays_sudoku:
        return parse_puzzles(lines, opened.board, name)
    return opened.read(lines, name)


def _solved(
    opened: ReasoningRun, problems: Any, budget: Budget, args: argparse.Namespace
) -> list[Any]:
    """A solution or an answer to every problem."""
    if not opened.plays_sudoku:
        with args.screen.counting("thinking", 1):
            return opened.answer_lines(problems, budget, seed=args.seed, batch_size=args.batch_size)
    solutions: list[Any] = []
    with args.screen.counting("thinking", len(problems)) as done:
        for first in range(0, len(problems), args.batch_size):
            part = problems[first : first + args.batch_size]
            solutions += opened.answer(part, budget, seed=args.seed, first=first)
            done(len(solutions))
    return solutions


# ------------------------------------------------------------------ energies


def _threshold(opened: ReasoningRun, budget: Budget, args: argparse.Namespace) -> Threshold | None:
    """What is given, calibrated now, or kept beside the run; None: energies are not judged."""
    from argmind.reasoning.threshold import Threshold, calibrate, find, keep, steps_of

    predictor, folder = opened.predictor, opened.run.folder
    if args.threshold is not None:
        steps = steps_of(budget, predictor)
        return Threshold(energy=args.threshold, steps=steps, candidates=budget.candidates)
    if args.calibrate is None:
        return find(folder, budget, predictor)
    asked = replace(budget, trace=False)
    found = calibrate(predictor, opened.data(), asked, args.calibrate, args.seed)
    keep(folder, found)
    args.screen.note(found.words)
    return found


def _believed(one: Any, threshold: Threshold | None) -> Any:
    """The same, not solved where its energy says so."""
    if threshold is None or one.wrong:
        return one
    return replace(one, wrong=threshold.doubts(one.energy))


# ------------------------------------------------------------------ shown


def _plain(one: Answer, boards: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "puzzle": one.problem,
        "solution": one.answer,
        "solved": one.solved,
        "wrong": one.wrong,
        "energy": one.energy,
        "steps": one.steps,
        "nfe": one.nfe,
    }
    if one.way:
        name = "grid" if boards else "solution"
        plain["trace"] = [{name: answer, "energy": energy} for answer, energy in one.way]
    return plain


def _show(
    written: Sequence[Answer], shown: Sequence[Any], opened: ReasoningRun, out: Console
) -> None:
    for number, one in enumerate(shown, start=1):
        if len(shown) > 1:
            out.print(f"puzzle {number}", style="bold")
        for line in _drawn(one, opened):
            out.print(line)
        out.print(_verdict(one))
    if len(written) > 1:
        _show_table(written, out)


def _drawn(one: Any, opened: ReasoningRun) -> Iterator[str | Text]:
    """One answer, or its way."""
    from rich.text import Text

    from argmind.cli._boards import board_lines

    if opened.plays_sudoku:
        yield from board_lines(one, opened.board)
        return
    for step, (answer, energy) in enumerate(one.way):
        yield Text(f"step {step}, energy {energy:.3f}: {answer}")
    if not one.way:
        yield Text(one.answer)


def _verdict(one: Any) -> Text:
    from rich.text import Text

    word = ("solved", "bold green") if one.solved else (f"not solved: {one.wrong}", "bold red")
    return Text.assemble(
        word, f"; energy {one.energy:.3f}, {one.steps} steps, {one.nfe} evaluations"
    )


def _show_table(written: Sequence[Answer], out: Console) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for head in ("puzzle", "solution", "", "energy", "steps", "NFE"):
        words = head in ("solution", "")
        table.add_column(head, justify="left" if words else "right", overflow="fold")
    for number, one in enumerate(written, start=1):
        word = "solved" if one.solved else f"not solved: {one.wrong}"
        figures = (f"{one.energy:.3f}", str(one.steps), str(one.nfe))
        style = None if one.solved else "red"
        table.add_row(str(number), one.answer, word, *figures, style=style)
    out.print(table)
    solved = sum(one.solved for one in written)
    out.print(f"{solved} of {len(written)} solved")
